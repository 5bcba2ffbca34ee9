-- Work for sqlite3 in memory: a filled table, indexes, a join, groups, an update and a delete. :count is the rows.
CREATE TABLE item (id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, value INTEGER);
CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
    INSERT INTO item SELECT i, (i * 7919) % 1009, 'item-' || (i * 2654435761 % 1000003), i * 31 % 977 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1008)
    INSERT INTO owner SELECT i, printf('owner-%08d', i * 37 % 1009) FROM n;
CREATE INDEX item_owner ON item (owner);
CREATE INDEX item_name ON item (name);
SELECT owner.name, count(*), sum(value), min(item.name), max(length(item.name))
    FROM item JOIN owner ON owner.id = item.owner GROUP BY owner.name ORDER BY 3, 1 LIMIT 20;
UPDATE item SET name = upper(name) || '-' || owner WHERE value % 3 = 0;
DELETE FROM item WHERE value % 7 = 1;
SELECT count(*), sum(length(name)), count(DISTINCT name) FROM item;
SELECT length(group_concat(name, ';')) FROM (SELECT name FROM item ORDER BY name DESC);
