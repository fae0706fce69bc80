"""The web app: pages and an API over what the view, the topics and the models say."""
