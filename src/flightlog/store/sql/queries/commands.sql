-- Operators' intents; who asks is written by the database.

-- name: enqueue
INSERT INTO pipeline_commands (command_id, verb, node, run_id, program, arguments, expires_at)
VALUES (%(command)s, %(verb)s, %(node)s, %(run)s, %(program)s, %(arguments)s::jsonb, now() + make_interval(secs => %(seconds)s))

-- name: claim
SELECT command_id, verb, run_id, program, arguments, requested_by FROM pipeline_commands_claim_v1(%(node)s, %(epoch)s, %(limit)s)

-- name: complete
SELECT pipeline_command_complete_v2(%(node)s, %(epoch)s, %(command)s, %(done)s, %(result)s)

-- name: answer
SELECT state, coalesce(result, '') FROM pipeline_commands WHERE command_id = %(command)s
