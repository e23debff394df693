"""The registry: versions, the gate, the champion, approval and signatures."""
