-- TLS connections: names, versions, whether they could be read, and what failed
SELECT layer.flow_id AS flow, client_addr AS client, server_addr || ':' || server_port AS server,
    detail ->> 'sni' AS sni, detail ->> 'version' AS version, detail ->> 'alpn' AS alpn,
    detail ->> 'cipher' AS cipher, detail ->> 'ja4' AS ja4,
    coalesce(detail ->> 'not_decrypted', detail ->> 'decrypted', 'no') AS decrypted,
    coalesce('client: ' || (detail ->> 'client_alert'), 'server: ' || (detail ->> 'server_alert'))
        AS alert, detail ->> 'certificate_names' AS certificate_names
FROM layer JOIN flow ON flow.id = layer.flow_id
WHERE protocol = 'tls' AND (:host IS NULL OR detail ->> 'sni' = :host)
ORDER BY layer.id LIMIT coalesce(:limit, 50);
