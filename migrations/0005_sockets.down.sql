DROP TABLE event_tickets, recovery_rooms;
