DELETE FROM checkpoints WHERE group_name IN ('inbox', 'refunds');
ALTER TABLE notification_log DROP COLUMN endings;
DROP TABLE payments_view, couriers_view, track_points, offers_view, inbox_view, inbox_readers;
