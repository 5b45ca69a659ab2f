DROP SEQUENCE order_number_seq;
DROP TABLE idempotency_keys, streams, events, log_head;
DROP FUNCTION append_events, add_partitions, make_append_only, refuse_change;
