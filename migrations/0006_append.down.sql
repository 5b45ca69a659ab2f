DROP FUNCTION append_events_2;
