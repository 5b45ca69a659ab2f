ALTER TABLE recovery_rooms DROP COLUMN generation;
