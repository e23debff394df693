# Run by the image of PostgreSQL when the volume is new: a database and a user of its own for each server.
own() {
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --set name="$1" --set secret="$2" << 'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'secret';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

own mlflow "$MLFLOW_DATABASE_PASSWORD"
own prefect "$PREFECT_DATABASE_PASSWORD"
