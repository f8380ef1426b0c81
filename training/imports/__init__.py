"""Exports of one's own chats, from three messengers, into corpora that can be trained on."""
