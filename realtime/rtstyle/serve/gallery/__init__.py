"""What a page can choose from: styles, the pictures it sent, thumbnails.

Knows nothing of clients, frames or HTTP.
"""
