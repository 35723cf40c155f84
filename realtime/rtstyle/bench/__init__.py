"""How fast rtstyle is here: the network alone, and a clip from decoding to encoding.

Every case runs in a process of its own (`child`), so that one does not change the memory and the
warm-up of another. `runner` starts them, `suite` says which cases there are and gathers their
`figures`, `report` and `plot` show them, `session` does all of this for the command.

May use every room but the commands. Only they, a survey and `rtstyle_export.offline` import it.
"""
