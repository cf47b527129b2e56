"""The page Chat: a conversation through the proxy with the user's own key. Nothing is stored."""

from proxy.dashboard.layout.page import Page
from proxy.dashboard.pages.chat.conversation import build

PAGE = Page(path="/chat", title="Chat", icon="chat", build=build)
