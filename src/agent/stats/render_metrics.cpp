// Prometheus text of /metrics/resource and /metrics/cadvisor: the kubelet's names and labels.
#include <fmt/format.h>

#include <functional>

#include "agent/stats/stats.h"

namespace orch::agent {
namespace {

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

int64_t millis(WallTime at) {
  return std::chrono::duration_cast<Millis>(at.time_since_epoch()).count();
}
double seconds(uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }
double unix_seconds(WallTime at) { return static_cast<double>(millis(at)) / 1e3; }

class Text {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void sample(std::string_view labels, double value, WallTime at) {
    line(labels, fmt::format("{} {}", value, millis(at)));
  }
  void sample(std::string_view labels, double value) { line(labels, fmt::format("{}", value)); }
  std::string out;

 private:
  void line(std::string_view labels, std::string_view rest) {
    out += labels.empty() ? fmt::format("{} {}\n", name_, rest)
                          : fmt::format("{}{{{}}} {}\n", name_, labels, rest);
  }
  std::string name_;
};

std::string pod_labels(const PodStats& pod) {
  return fmt::format(R"(namespace="{}",pod="{}")", escaped(pod.namespace_), escaped(pod.name));
}
std::string container_labels(const ContainerStats& container, const PodStats& pod) {
  return fmt::format(R"(container="{}",{})", escaped(container.name), pod_labels(pod));
}

// cAdvisor's labels: cgroup, image and name; `more` goes where the alphabet wants it.
std::string cgroup_labels(const ContainerStats* container, const PodStats& pod,
                          std::string_view more = "") {
  const std::string_view comma = more.empty() ? "" : ",";
  if (container == nullptr) {
    return fmt::format(R"(container="",{}{}id="{}",image="",name="",{})", more, comma,
                       escaped(pod.cgroup), pod_labels(pod));
  }
  return fmt::format(R"(container="{}",{}{}id="{}",image="{}",name="{}",{})",
                     escaped(container->name), more, comma, escaped(container->cgroup),
                     escaped(container->image), container->id, pod_labels(pod));
}
std::string root_labels(std::string_view more = "") {
  return fmt::format(R"(container="",{}{}id="/",image="",name="",namespace="",pod="")", more,
                     more.empty() ? "" : ",");
}

using Value = std::function<double(const CpuStats&, const MemoryStats&)>;

// One family for the node's root, every pod and every container.
void everywhere(Text& text, const NodeStats& stats, std::string_view more, const Value& value) {
  text.sample(root_labels(more), value(stats.cpu, stats.memory), stats.cpu.time);
  for (const auto& pod : stats.pods) {
    text.sample(cgroup_labels(nullptr, pod, more), value(pod.cpu, pod.memory), pod.cpu.time);
    for (const auto& c : pod.containers) {
      text.sample(cgroup_labels(&c, pod, more), value(c.cpu, c.memory), c.cpu.time);
    }
  }
}

// One family of containers only; a negative value is left out.
void containers(Text& text, const NodeStats& stats,
                const std::function<double(const ContainerStats&)>& value) {
  for (const auto& pod : stats.pods) {
    for (const auto& c : pod.containers) {
      const double shown = value(c);
      if (shown >= 0) text.sample(cgroup_labels(&c, pod), shown, c.cpu.time);
    }
  }
}

void render_usage(Text& text, const NodeStats& stats) {
  text.family("container_cpu_usage_seconds_total", "counter",
              "Cumulative cpu time consumed in seconds.");
  everywhere(text, stats, R"(cpu="total")",
             [](const auto& cpu, const auto&) { return seconds(cpu.nanoseconds); });
  text.family("container_memory_usage_bytes", "gauge",
              "Current memory usage in bytes, including all memory regardless of when it was "
              "accessed");
  everywhere(text, stats, "", [](const auto&, const auto& m) { return double(m.usage); });
  text.family("container_memory_working_set_bytes", "gauge", "Current working set in bytes.");
  everywhere(text, stats, "", [](const auto&, const auto& m) { return double(m.working_set); });
  text.family("container_memory_rss", "gauge", "Size of RSS in bytes.");
  everywhere(text, stats, "", [](const auto&, const auto& m) { return double(m.rss); });
  text.family("container_memory_cache", "gauge", "Number of bytes of page cache memory.");
  everywhere(text, stats, "",
             [](const auto&, const auto& m) { return double(m.usage - std::min(m.usage, m.rss)); });
}

void render_limits(Text& text, const NodeStats& stats) {
  text.family("container_spec_cpu_period", "gauge", "CPU period of the container.");
  containers(text, stats, [](const auto& c) { return c.cpu_limit_milli > 0 ? 100000.0 : -1.0; });
  text.family("container_spec_cpu_quota", "gauge", "CPU quota of the container.");
  containers(text, stats, [](const auto& c) {
    return c.cpu_limit_milli > 0 ? static_cast<double>(c.cpu_limit_milli) * 100.0 : -1.0;
  });
  text.family("container_spec_cpu_shares", "gauge", "CPU share of the container.");
  containers(text, stats, [](const auto& c) {
    return std::max(2.0, static_cast<double>(c.cpu_request_milli) * 1024.0 / 1000.0);
  });
  text.family("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.");
  containers(text, stats, [](const auto& c) { return static_cast<double>(c.memory_limit); });
  text.family("container_cpu_cfs_periods_total", "counter",
              "Number of elapsed enforcement period intervals.");
  const auto throttled = [&](uint64_t CpuThrottling::*member, double unit) {
    containers(text, stats, [=](const auto& c) {
      return c.throttling ? static_cast<double>((*c.throttling).*member) * unit : -1.0;
    });
  };
  throttled(&CpuThrottling::periods, 1);
  text.family("container_cpu_cfs_throttled_periods_total", "counter",
              "Number of throttled period intervals.");
  throttled(&CpuThrottling::throttled_periods, 1);
  text.family("container_cpu_cfs_throttled_seconds_total", "counter",
              "Total time duration the container has been throttled.");
  throttled(&CpuThrottling::throttled_nanoseconds, 1e-9);
}

void render_network(Text& text, const NodeStats& stats) {
  struct Series {
    const char* name;
    const char* help;
    uint64_t InterfaceStats::*member;
  };
  constexpr Series kSeries[] = {
      {"container_network_receive_bytes_total", "Cumulative count of bytes received",
       &InterfaceStats::received_bytes},
      {"container_network_receive_packets_total", "Cumulative count of packets received",
       &InterfaceStats::received_packets},
      {"container_network_receive_errors_total",
       "Cumulative count of errors encountered while "
       "receiving",
       &InterfaceStats::receive_errors},
      {"container_network_receive_packets_dropped_total",
       "Cumulative count of packets dropped while receiving", &InterfaceStats::receive_drops},
      {"container_network_transmit_bytes_total", "Cumulative count of bytes transmitted",
       &InterfaceStats::sent_bytes},
      {"container_network_transmit_packets_total", "Cumulative count of packets transmitted",
       &InterfaceStats::sent_packets},
      {"container_network_transmit_errors_total",
       "Cumulative count of errors encountered while "
       "transmitting",
       &InterfaceStats::send_errors},
      {"container_network_transmit_packets_dropped_total",
       "Cumulative count of packets dropped while transmitting", &InterfaceStats::send_drops},
  };
  for (const Series& series : kSeries) {
    text.family(series.name, "counter", series.help);
    for (const auto& i : stats.interfaces) {
      text.sample(fmt::format(R"(id="/",image="",interface="{}",name="",namespace="",pod="")",
                              escaped(i.name)),
                  double(i.*series.member), stats.cpu.time);
    }
    for (const auto& pod : stats.pods) {
      if (!pod.network) continue;
      text.sample(
          fmt::format(R"(id="{}",image="",interface="{}",name="{}",{})", escaped(pod.cgroup),
                      escaped(pod.network->name), pod.sandbox_id, pod_labels(pod)),
          double((*pod.network).*series.member), pod.cpu.time);
    }
  }
}

}  // namespace

std::string render_failed_scrape() {
  return "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container "
         "metrics, 0 otherwise\n# TYPE resource_scrape_error gauge\nresource_scrape_error 1\n";
}

std::string render_probe_metrics(const std::vector<ProbeCount>& counts) {
  Text text;
  text.family("prober_probe_total", "counter",
              "[BETA] Cumulative number of a liveness, readiness or startup probe for a container "
              "by result.");
  for (const auto& c : counts) {
    const auto show = [&](const char* result, uint64_t value) {
      if (value == 0) return;
      text.sample(fmt::format(R"(container="{}",namespace="{}",pod="{}",pod_uid="{}",)"
                              R"(probe_type="{}",result="{}")",
                              escaped(c.container), escaped(c.namespace_), escaped(c.pod),
                              c.pod_uid, c.type, result),
                  double(value));
    };
    show("successful", c.successful);
    show("failed", c.failed);
    show("unknown", c.unknown);
  }
  return std::move(text.out);
}

std::string render_resource_metrics(const NodeStats& stats) {
  Text text;
  text.family("container_cpu_usage_seconds_total", "counter",
              "[STABLE] Cumulative cpu time consumed by the container in core-seconds");
  const auto each = [&](const auto& show) {
    for (const auto& pod : stats.pods) {
      for (const auto& c : pod.containers) show(c, container_labels(c, pod));
    }
  };
  each([&](const auto& c, const auto& l) {
    text.sample(l, seconds(c.cpu.nanoseconds), c.cpu.time);
  });
  text.family("container_memory_working_set_bytes", "gauge",
              "[STABLE] Current working set of the container in bytes");
  each([&](const auto& c, const auto& l) {
    text.sample(l, double(c.memory.working_set), c.cpu.time);
  });
  text.family("container_start_time_seconds", "gauge",
              "[STABLE] Start time of the container since unix epoch in seconds");
  each([&](const auto& c, const auto& l) {
    if (c.start != WallTime{}) text.sample(l, unix_seconds(c.start));
  });
  text.family("node_cpu_usage_seconds_total", "counter",
              "[STABLE] Cumulative cpu time consumed by the node in core-seconds");
  text.sample("", seconds(stats.cpu.nanoseconds), stats.cpu.time);
  text.family("node_memory_working_set_bytes", "gauge",
              "[STABLE] Current working set of the node in bytes");
  text.sample("", double(stats.memory.working_set), stats.cpu.time);
  text.family("pod_cpu_usage_seconds_total", "counter",
              "[STABLE] Cumulative cpu time consumed by the pod in core-seconds");
  for (const auto& pod : stats.pods) {
    text.sample(pod_labels(pod), seconds(pod.cpu.nanoseconds), pod.cpu.time);
  }
  text.family("pod_memory_working_set_bytes", "gauge",
              "[STABLE] Current working set of the pod in bytes");
  for (const auto& pod : stats.pods) {
    text.sample(pod_labels(pod), double(pod.memory.working_set), pod.cpu.time);
  }
  text.family("resource_scrape_error", "gauge",
              "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise");
  text.sample("", 0);
  return std::move(text.out);
}

std::string render_cadvisor_metrics(const NodeStats& stats) {
  Text text;
  text.family("cadvisor_version_info", "gauge",
              "A metric with a constant '1' value labeled by kernel version, OS version, docker "
              "version, cadvisor version & cadvisor revision.");
  text.sample(fmt::format(R"(cadvisorRevision="",cadvisorVersion="",dockerVersion="",)"
                          R"(kernelVersion="{}",osVersion="{}")",
                          escaped(stats.kernel), escaped(stats.os)),
              1);
  render_usage(text, stats);
  render_limits(text, stats);
  text.family("container_fs_usage_bytes", "gauge",
              "Number of bytes that are consumed by the container on this filesystem.");
  containers(text, stats, [](const auto& c) { return static_cast<double>(c.layer_bytes); });
  text.family("container_fs_inodes_total", "gauge", "Number of Inodes");
  containers(text, stats, [](const auto& c) { return static_cast<double>(c.layer_inodes); });
  text.family("container_last_seen", "gauge", "Last time a container was seen by the exporter");
  containers(text, stats, [](const auto& c) { return unix_seconds(c.cpu.time); });
  text.family("container_start_time_seconds", "gauge",
              "Start time of the container since unix epoch in seconds.");
  containers(text, stats,
             [](const auto& c) { return c.start == WallTime{} ? -1.0 : unix_seconds(c.start); });
  text.family("container_processes", "gauge", "Number of processes running inside the container.");
  for (const auto& pod : stats.pods) {
    text.sample(cgroup_labels(nullptr, pod), double(pod.processes), pod.cpu.time);
  }
  render_network(text, stats);
  text.family("machine_cpu_cores", "gauge", "Number of logical CPU cores.");
  text.sample("", double(stats.cpus));
  text.family("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.");
  text.sample("", double(stats.memory_capacity));
  return std::move(text.out);
}

}  // namespace orch::agent
