"""What the verbs of the command line do: they call the library and print."""
