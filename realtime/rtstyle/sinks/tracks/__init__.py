"""What lies beside the pictures of a video: sound, subtitles, chapters, tags.

Copied from the source, or encoded where the container requires it. Knows nothing of pictures.
"""
