DROP TABLE business_view, products_view, orders_view, notification_floor, notification_channels, notification_log, checkpoints;
