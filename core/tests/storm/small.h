/* A profile small enough to reason about: two processes with pids, a kernel without. */
#ifndef HAECHI_TESTS_STORM_SMALL_H
#define HAECHI_TESTS_STORM_SMALL_H

#define SMALL_HEAD                                                                                 \
    "{\"format\": 1, \"name\": \"small\", \"hosts\": {\"prefix\": \"node\", \"count\": 40},"       \
    " \"pids\": {\"first\": 95, \"count\": 500},"
#define SMALL_PROCESSES                                                                            \
    "\"processes\": ["                                                                             \
    "{\"name\": \"app\", \"facility\": 3, \"pid\": true, \"msgid\": \"REQ\","                      \
    " \"structured_data\": \"[x@1 a=\\\"b\\\"]\"},"                                                \
    "{\"name\": \"sshd\", \"facility\": 10, \"pid\": true, \"msgid\": \"-\","                      \
    " \"structured_data\": \"-\"},"                                                                \
    "{\"name\": \"kernel\", \"facility\": 0, \"pid\": false, \"msgid\": \"-\","                    \
    " \"structured_data\": \"-\"}],"
#define SMALL_VARIABLES                                                                            \
    "\"variables\": ["                                                                             \
    "{\"name\": \"user\", \"scope\": \"session\", \"choice\": [\"kim\", \"lee\", \"a name of more" \
    " than sixteen bytes, so that it takes two blocks\"]},"                                        \
    "{\"name\": \"n\", \"scope\": \"line\", \"range\": [0, 99999999]},"                            \
    "{\"name\": \"few\", \"scope\": \"line\", \"range\": [9, 11]},"                                \
    "{\"name\": \"ip\", \"scope\": \"session\", \"ipv4\": \"10.20.0.0/16\"},"                      \
    "{\"name\": \"key\", \"scope\": \"line\", \"random\": \"hex\", \"length\": 40}],"
#define SMALL_FLOWS                                                                                \
    "\"flows\": ["                                                                                 \
    "{\"name\": \"request\", \"process\": \"app\", \"share\": 30, \"steps\": ["                    \
    "{\"severity\": 6, \"texts\": [\"begin {user} {{x}}\"]},"                                      \
    "{\"severity\": 6, \"texts\": [\"work {n} {user}\", \"toil {few}\"]},"                         \
    "{\"severity\": 6, \"texts\": [\"end {user} {key}\"]}]},"                                      \
    "{\"name\": \"short\", \"process\": \"app\", \"share\": 10, \"steps\": ["                      \
    "{\"severity\": 6, \"texts\": [\"begin {user} {{x}}\"]},"                                      \
    "{\"severity\": 6, \"texts\": [\"end {user} {key}\"]}]},"                                      \
    "{\"name\": \"login\", \"process\": \"sshd\", \"share\": 40, \"steps\": ["                     \
    "{\"severity\": 6, \"texts\": [\"fail {user} {ip}\"]},"                                        \
    "{\"severity\": 6, \"texts\": [\"fail {user} {ip}\"]},"                                        \
    "{\"severity\": 5, \"texts\": [\"ok {user} {ip}\"]},"                                          \
    "{\"severity\": 6, \"texts\": [\"bye\"]}]},"                                                   \
    "{\"name\": \"heat\", \"process\": \"kernel\", \"share\": 15, \"steps\": ["                    \
    "{\"severity\": 4, \"texts\": [\"hot {few}\"]},"                                               \
    "{\"severity\": 2, \"texts\": [\"hotter {few}\"]},"                                            \
    "{\"severity\": 5, \"texts\": [\"cool {few}\"]}]},"                                            \
    "{\"name\": \"link\", \"process\": \"kernel\", \"share\": 5, \"steps\": ["                     \
    "{\"severity\": 6, \"texts\": [\"link up\"]}]}],"
#define SMALL_ANOMALIES                                                                            \
    "\"never\": [{\"process\": \"sshd\", \"severity\": 2, \"technique\": \"T1098.004\","           \
    " \"text\": \"planted {n}\"}],"                                                                \
    "\"failures\": [{\"process\": \"sshd\", \"severity\": 6, \"technique\": \"T1110\","            \
    " \"text\": \"fail {user} {ip}\", \"times\": [8, 20]}],"                                       \
    "\"values\": [{\"process\": \"app\", \"technique\": \"T1078\", \"text\": \"work {n} {user}\"," \
    " \"variable\": \"user\", \"choice\": [\"mallory\", \"trudy\"]},"                              \
    "{\"process\": \"kernel\", \"severity\": 4, \"text\": \"hot {few}\", \"variable\": \"few\","   \
    " \"range\": [1000, 99999999]}],"                                                              \
    "\"bursts\": [{\"process\": \"sshd\", \"severity\": 4, \"technique\": \"T1499\","              \
    " \"text\": \"flood {n} {user}\", \"times\": [20, 60]},"                                       \
    "{\"process\": \"app\", \"severity\": 6, \"text\": \"end {user} {key}\", \"times\": [30, "     \
    "40]}]}"
#define SMALL_PROFILE SMALL_HEAD SMALL_PROCESSES SMALL_VARIABLES SMALL_FLOWS SMALL_ANOMALIES

#endif
