"""How fast rtstyle is here: the network alone, and a clip from decoding to encoding.

Every case runs in a process of its own (`child`), so that memory and warm-up of one do not colour
another. `runner` starts them, `suite` says which cases there are and gathers their `figures`,
`report` and `plot` show them.

May use every room but the commands; nothing else imports it.
"""
