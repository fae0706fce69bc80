import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Keeps every lead's score in memory and tells each alert once.
 *
 * <pre>
 * mvn -q dependency:copy-dependencies -DoutputDirectory=jars
 * java -cp 'jars/*' Consume.java [BROKER]
 * </pre>
 *
 * LEADPULSE_TOPIC_PREFIX and GROUP_ID are read from the environment.
 */
public final class Consume {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String PREFIX = variable("LEADPULSE_TOPIC_PREFIX", "");
  private static final String SCORES = PREFIX + "lead.score-updates.v1";
  private static final String ALERTS = PREFIX + "notifications.v1";

  // In your system: tables, by lead_id and by the alert's id.
  private final Map<String, JsonNode> leads = new HashMap<>();
  private final Set<String> told = new HashSet<>();

  /** Keep the update with the largest sequence; forget who was erased. */
  private Optional<ObjectNode> takeScore(String leadId, byte[] value) throws Exception {
    ObjectNode change = JSON.createObjectNode();
    if (value == null) { // a tombstone: this person was erased, so erase them, too
      leads.remove(leadId);
      return Optional.of(change.put("erased", leadId));
    }
    JsonNode update = JSON.readTree(value);
    if (update.hasNonNull("merged_into")) { // two leads were one person
      leads.remove(leadId);
      change.put("merged", leadId).put("into", update.get("merged_into").asText());
      return Optional.of(change);
    }
    JsonNode known = leads.get(leadId);
    long sequence = update.get("sequence").asLong();
    if (known != null && known.get("sequence").asLong() >= sequence) {
      return Optional.empty(); // stale, or delivered a second time
    }
    leads.put(leadId, update);
    change.put("lead_id", leadId).put("sequence", sequence);
    change.put("score", update.get("score").asDouble());
    return Optional.of(change.put("tier", update.get("tier").asText()));
  }

  /** Tell an alert the first time its id is seen. */
  private Optional<ObjectNode> takeAlert(byte[] value) throws Exception {
    if (value == null) {
      return Optional.empty();
    }
    JsonNode alert = JSON.readTree(value);
    if (!told.add(alert.get("id").asText())) {
      return Optional.empty();
    }
    ObjectNode change = JSON.createObjectNode();
    for (String name : List.of("alert", "kind", "lead_id", "score", "next_action")) {
      change.set(name, alert.get(name));
    }
    return Optional.of(change);
  }

  /** What a record changes; its type is in the CloudEvents headers. */
  private Optional<ObjectNode> take(ConsumerRecord<String, byte[]> record)
      throws Exception {
    var header = record.headers().lastHeader("ce_type");
    String type = header == null ? "" : new String(header.value(), StandardCharsets.UTF_8);
    if (record.topic().equals(SCORES)) {
      // A tombstone has no headers: there is nothing left to describe.
      if (record.value() == null || type.equals("leadpulse.score-update.v1")) {
        return takeScore(record.key(), record.value());
      }
    } else if (type.equals("leadpulse.alert.v1")) {
      return takeAlert(record.value());
    }
    return Optional.empty(); // a type of tomorrow: pass it over
  }

  private void run(KafkaConsumer<String, byte[]> consumer) throws Exception {
    consumer.subscribe(List.of(SCORES, ALERTS), new FromTheStart(consumer));
    while (true) {
      for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
        Optional<ObjectNode> change = take(record);
        if (change.isPresent()) {
          System.out.println(JSON.writeValueAsString(change.get()));
        }
      }
      consumer.commitSync(); // only now: what a crash repeats is taken once
    }
  }

  /**
   * A table in memory is filled anew: the topic of scores is compacted, so whoever reads
   * it from its start has the latest of every lead. With a table in a database, go on
   * where the group left off.
   */
  private record FromTheStart(KafkaConsumer<String, byte[]> consumer)
      implements ConsumerRebalanceListener {
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> given) {
      consumer.seekToBeginning(
          given.stream().filter(each -> each.topic().equals(SCORES)).toList());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> taken) {}
  }

  private static String variable(String name, String otherwise) {
    return Optional.ofNullable(System.getenv(name)).orElse(otherwise);
  }

  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    String broker = arguments.length > 0 ? arguments[0] : "127.0.0.1:9092";
    settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, broker);
    settings.put(ConsumerConfig.GROUP_ID_CONFIG, variable("GROUP_ID", "my-crm"));
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false");
    var consumer =
        new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
    Thread main = Thread.currentThread();
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  consumer.wakeup(); // the one call that another thread may make
                  try {
                    main.join(10_000);
                  } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                  }
                }));
    try (consumer) {
      new Consume().run(consumer);
    } catch (WakeupException stopped) {
      System.err.println("stopped");
    }
  }
}
