import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** Kafka Streams: a RocksDB store with changelog and cache, as it comes. */
public final class Toy {
    private static final double HALF_LIFE_MS = 7.0 * 24 * 3_600_000;
    private static final ObjectMapper JSON = new ObjectMapper();

    private static final class Scoring
            implements Processor<String, byte[], String, byte[]> {
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, byte[]> store;

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            this.store = context.getStateStore("scores");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            try {
                JsonNode event = JSON.readTree(record.value());
                String lead = event.get("lead").textValue();
                long at = event.get("at").longValue();
                double score = event.get("points").doubleValue();
                long count = 1;
                byte[] kept = store.get(lead);
                if (kept != null) {
                    JsonNode before = JSON.readTree(kept);
                    double passed = before.get("at").longValue() - at;
                    double decay = Math.pow(2.0, passed / HALF_LIFE_MS);
                    score += before.get("score").doubleValue() * decay;
                    count += before.get("count").longValue();
                }
                ObjectNode after = JSON.createObjectNode();
                after.put("lead", lead).put("score", score);
                after.put("at", at).put("count", count);
                byte[] value = JSON.writeValueAsBytes(after);
                store.put(lead, value);
                context.forward(record.withValue(value));
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode job = JSON.readTree(arguments[0]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", job.get("bootstrap").textValue());
        settings.put("application.id", job.get("group").textValue());
        settings.put("state.dir", job.get("directory").textValue());
        settings.put("num.stream.threads", 1);
        settings.put("commit.interval.ms", 1_000);
        settings.put("replication.factor", 1);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("acks"), "all");

        Serde<String> text = Serdes.String();
        Serde<byte[]> bytes = Serdes.ByteArray();
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
                Stores.keyValueStoreBuilder(
                                Stores.persistentKeyValueStore("scores"), text, bytes)
                        .withCachingEnabled());
        builder.stream(job.get("input").textValue(), Consumed.with(text, bytes))
                .process(Scoring::new, "scores")
                .to(job.get("output").textValue(), Produced.with(text, bytes));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        Thread.currentThread().join();
    }
}
