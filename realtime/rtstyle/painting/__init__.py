"""Pictures painted: by one network, by a recipe, by region, in tiles, over a canvas, by WCT.

`Network` is a model with its engine, `Stylizer` paints what a `Recipe` asks for. Knows engines,
styles and pictures; knows nothing of files to be written, cameras, threads and commands.
"""
