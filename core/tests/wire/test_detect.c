/* Detection names the preset that a log was written in, also where some of its lines are not. */
#include "../check.h"
#include "samples.h"

static const struct {
    const char *want;
    const char *lines[4]; /* taken in turn */
} cases[] = {
    {"iso",
     {"2025-08-30T10:15:30.123Z server01 systemd[1]: Started x.",
      "<30>2025-08-30T10:15:31Z server01 kernel: link up"}},
    {"rfc3164", {"<34>Oct 11 22:14:15 h su: x", "<13>Oct  1 22:14:15 h no tag"}},
    {"syslog", {"Oct 11 22:14:15 h su: x", "Oct  1 22:14:15 h last message repeated 2 times"}},
    {"rfc5424", {"<34>1 2025-08-30T10:15:30Z h su - ID47 - m", "<34>1 - - - - - - m"}},
    {"jsonl", {"{\"msg\":\"a\",\"time\":1}", "{\"msg\":\"b\"}"}},
    {"logfmt", {"time=2025-08-30T10:15:30Z level=info msg=\"a b\"", "level=warn msg=c n=3"}},
    {"hdfs", {"081109 203518 143 INFO dfs.X: a", "081109 203519 35 WARN dfs.Y: b"}},
    {"spark", {"17/06/09 20:10:40 INFO a.B: c"}},
    {"bgl",
     {"- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.675872 R02 RAS KERNEL INFO parity",
      "KERNDTLB 1117838571 2005.06.03 R02 2005-06-03-15.42.51.675872 R02 RAS APP FATAL tlb"}},
    {"thunderbird",
     {"- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam)[29]: closed",
      "- 1131566462 2005.11.09 tbird Nov 9 12:01:02 src@tbird ib_sm.x[24904]: [ib]: x"}},
    {"hadoop", {"2025-08-30 10:15:30,978 INFO [main] org.x.App: Created y"}},
    {"zookeeper", {"2025-08-30 10:15:30,747 - INFO  [Peer/0:Election@774] - Notification: 3"}},
    {"apache", {"[Sat Aug 30 10:15:30 2025] [error] mod_jk child 6"}},
    {"apache24", {"[Sat Aug 30 10:15:30.000042 2025] [core:notice] [pid 12:tid 34] AH00094: up"}},
    {"access",
     {"10.0.0.1 - - [30/Aug/2025:12:15:30 +0200] \"GET / HTTP/1.1\" 200 5 \"-\" \"curl\""}},
    {"nginx", {"2025/08/30 10:15:30 [error] 12#34: *5 open() failed"}},
    {"python", {"2025-08-30 10:15:30,001 - pkg.mod - ERROR - it failed"}},
    {"python_basic", {"WARNING:root:watch out", "INFO:pkg.mod:fine"}},
    {"iso_level",
     {"2025-08-30T10:15:30Z INFO ready", "2025-08-30 10:15:30.123 [main] no level",
      "2025-08-30 10:15:30 ERROR a: b", "2025-08-30 10:15:30+02:00 DEBUG c"}},
    {"iso_bracket", {"2025-08-30 10:15:30.123 [info] ready", "2025-08-30 10:15:31 [ERROR] no"}},
    {"iso_colon", {"2025-08-30 10:15:30 INFO: ready: yes"}},
    {"spring", {"2025-08-30 10:15:30.123  INFO 12 --- [   main] c.e.App     : Started: yes"}},
    {"kafka", {"[2025-08-30 10:15:30,123] INFO Awaiting (kafka.Server)"}},
    {"elastic", {"[2025-08-30T10:15:30,123][INFO ][o.e.n.Node   ] [n1] started"}},
    {"gunicorn", {"[2025-08-30 10:15:30 +0000] [12] [INFO] Booting worker"}},
    {"mysql", {"2025-08-30T10:15:30.123456Z 0 [System] [MY-010116] [Server] ready"}},
    {"postgres",
     {"2025-08-30 10:15:30.123 UTC [12] LOG:  checkpoint",
      "2025-08-30 10:15:30 CEST [12] ERROR:  x"}},
    {"redis", {"12:M 30 Aug 2025 10:15:30.123 * Ready", "12:S 30 Aug 2025 10:15:31.003 # Fail"}},
    {"audit", {"type=SYSCALL msg=audit(1756548930.243:24287): arch=c000003e syscall=2"}},
    {"cri",
     {"2025-08-30T10:15:30.123456789Z stdout F hello world",
      "2025-08-30T10:15:30.2Z stderr P part"}},
    {"log4j",
     {"2025-08-30 10:15:30,123 [main] INFO  c.e.App - up",
      "2025-08-30 10:15:30,124 [t-1] WARN  c.e.B - x - y"}},
    {"logback", {"10:15:30.123 [main] INFO  c.e.App - up"}},
    {"dmesg", {"[Sat Aug 30 10:15:30 2025] usb 1-1: new device"}},
    {"android", {"08-30 10:15:30.500  1702  2395 D WindowManager: printing"}},
    {"windows", {"2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack"}},
    {"healthapp", {"20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579"}},
    {"proxifier", {"[10.30 16:49:06] chrome.exe - proxy.example.org:5070 open through proxy"}},
    {"openstack",
     {"nova-api.log.1 2017-05-16 00:00:00.008 25746 INFO nova.wsgi.server [req-3 - -] GET"}},
    {"hpc", {"134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component down"}},
    {"plain", {"some words of a program", "and others: 12", "2025-08-30T10:15:30Z", ""}},
};

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hx_slice lines[200];
        uint32_t forms = 0;
        const char *got;

        while (forms < 4 && cases[i].lines[forms])
            forms++;
        for (uint32_t n = 0; n < 200; n++)
            lines[n] = hx_slice_str(cases[i].lines[n % forms]);
        if (strcmp(cases[i].want, "iso_level") == 0)
            for (uint32_t n = 1; n < 200; n += 4)
                lines[n] = lines[0];
        for (uint32_t n = 7; n < 200 && i % 2; n += 11) /* a stack trace's lines, say */
            lines[n] = HX_SLICE_LIT("    at some.where(Else.java:17)");
        got = hx_format_detect(lines, 200);
        CHECK_BYTES(got, strlen(got), cases[i].want, strlen(cases[i].want));
    }
    CHECK_BYTES(hx_format_detect(NULL, 0), 5, "plain", 5);
    return 0;
}
