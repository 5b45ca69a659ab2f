-- Read models of payments, couriers, offers and the inbox, and the groups that act on what happened.

CREATE TABLE payments_view (
    id          uuid   PRIMARY KEY,
    order_id    uuid   NOT NULL,
    started_seq bigint NOT NULL,
    doc         json   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX payments_view_order ON payments_view (order_id, started_seq);

-- id is the stream's, which the user id gives.
CREATE TABLE couriers_view (
    id        uuid   PRIMARY KEY,
    status    text   NOT NULL,
    first_seq bigint NOT NULL UNIQUE,
    doc       json   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX couriers_view_status ON couriers_view (status, first_seq);

-- The most frequent event: a row each that is never changed, so no document is loaded and folded for it.
CREATE TABLE track_points (
    order_id  uuid             NOT NULL,
    seq       bigint           NOT NULL,
    agent_id  text             NOT NULL,
    latitude  double precision NOT NULL,
    longitude double precision NOT NULL,
    speed     double precision,
    heading   double precision,
    accuracy  double precision,
    at        timestamptz      NOT NULL,
    PRIMARY KEY (order_id, seq)
);

-- id is the stream's, which the code gives. uses is the count of the offer's tally, another stream.
CREATE TABLE offers_view (
    id          uuid        PRIMARY KEY,
    withdrawn   boolean     NOT NULL,
    ends_at     timestamptz,
    created_seq bigint      NOT NULL UNIQUE,
    uses        bigint      NOT NULL DEFAULT 0,
    doc         json        NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX offers_view_open ON offers_view (created_seq) WHERE NOT withdrawn;

-- read says that this entry was read by itself. It is read as well when its user read all after it, which
-- inbox_readers tells: reading all writes one row, however many entries there are.
CREATE TABLE inbox_view (
    id          uuid    PRIMARY KEY,
    user_id     text    NOT NULL,
    entered_seq bigint  NOT NULL,
    read        boolean NOT NULL,
    doc         json    NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX inbox_view_user ON inbox_view (user_id, entered_seq);
CREATE INDEX inbox_view_unread ON inbox_view (user_id, entered_seq) WHERE NOT read;

-- When a user read all. Each time is kept: an entry was read at the first of them after it.
CREATE TABLE inbox_readers (
    user_id  text        NOT NULL,
    upto_seq bigint      NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (user_id, upto_seq)
);

-- Who has to leave which channel because of the event; null for nearly all of them.
ALTER TABLE notification_log ADD COLUMN endings json;

-- What happened before there were inboxes makes no entries now. Refunds are owed whenever they were asked for;
-- the provider knows those it has made by their ids.
INSERT INTO checkpoints (group_name, position)
SELECT 'inbox', coalesce((SELECT min(first_seq) - 1 FROM streams WHERE stream_type = 'inbox_entry'), seq) FROM log_head;
INSERT INTO checkpoints (group_name) VALUES ('refunds');

-- The tables above start empty. Where the log has something to show in them already, because this migration was
-- taken back once, the read models are derived from the start; that needs all of them empty.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM streams
        WHERE stream_type IN ('payment', 'courier', 'track', 'offer', 'offer_tally', 'inbox_entry', 'inbox_reader')
    ) THEN
        UPDATE checkpoints SET position = 0 WHERE group_name = 'views';
        TRUNCATE business_view, products_view, orders_view;
    END IF;
END $$;
