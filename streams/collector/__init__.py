"""The collector: takes events in over HTTP and answers when Kafka has them."""
