#include "experiment/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "attack/attack.h"
#include "attack/lazy_verifier.h"
#include "base/error.h"
#include "experiment/windows.h"
#include "experiment/yaml_fields.h"
#include "policy/calibration.h"
#include "policy/peer_policy.h"

namespace verillm {
namespace {

std::map<std::string, PeerChoice> ReadPeers(const YAML::Node& node, const std::string& where) {
  std::map<std::string, PeerChoice> peers;
  YamlFields fields(node, where);
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    const YAML::Node given = fields.At(name);
    YamlFields parameters(given, where);
    PeerChoice& peer = peers[name];
    peer.method = name;
    parameters.Read("method", peer.method);
    for (const auto& parameter : given) {
      const auto key = parameter.first.as<std::string>();
      if (key != "method") parameters.Read(key, peer.parameters[key]);
    }
  }
  return peers;
}

// Refuses names that stand for something else in the results.
void CheckPeerName(const std::string& name, const PeerChoice& peer) {
  const std::vector<std::string_view> ours = PolicyNames();
  const bool taken = IsPeerPolicy(name) || name == "calibrated" || name == kSamplingDetector ||
                     std::find(ours.begin(), ours.end(), name) != ours.end();
  if (name != peer.method && taken)
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is no name for the method {}: it has a meaning of its own", name, peer.method));
}

// Written so that a size that occurs twice fails too.
void CheckPositions(const std::vector<int>& positions) {
  int before = 0;
  for (const int n : positions) {
    if (n <= before)
      throw Error(ErrorKind::kUsage,
                  fmt::format("windows of {} positions after those of {} make no sense: sizes ascend from 1 on", n, before));
    before = n;
  }
}

}  // namespace

std::vector<std::string> ReadWords(const YAML::Node& node, const std::string& where) {
  if (node.IsScalar()) return {node.as<std::string>()};
  std::vector<std::string> words;
  if (node.IsSequence()) {
    for (const YAML::Node& word : node) {
      if (!word.IsScalar()) break;
      words.push_back(word.as<std::string>());
    }
  }
  if (words.empty() || words.size() != node.size()) {
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: is no list of words", where, node.Mark().line + 1));
  }
  return words;
}

std::map<std::string, std::vector<std::string>> ReadWorkers(const YAML::Node& node, const std::string& where) {
  std::map<std::string, std::vector<std::string>> commands;
  YamlFields workers(node, where);
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    YamlFields worker(workers.At(name), where);
    const YAML::Node command = worker.At("command");
    if (command.IsScalar())
      throw Error(ErrorKind::kInput, fmt::format("{}:{}: is no list of words", where, command.Mark().line + 1));
    commands[name] = ReadWords(command, where);
    worker.Finish();
  }
  return commands;
}

void ReadSampling(const YAML::Node& node, const std::string& where, Sampling& sampling) {
  YamlFields fields(node, where);
  fields.Read("temperature", sampling.temperature);
  fields.Read("top_p", sampling.top_p);
  fields.Read("seed", sampling.seed);
  fields.Read("ignore_end", sampling.ignore_end);
  fields.Finish();
}

void ReadSchedule(const YAML::Node& node, const std::string& where, Schedule& schedule) {
  YamlFields fields(node, where);
  std::string flash_attention(FlashAttentionName(schedule.flash_attention));
  std::string cache(CacheTypeName(schedule.cache));
  fields.Read("chunk", schedule.chunk);
  fields.Read("threads", schedule.threads);
  fields.Read("flash_attention", flash_attention);
  fields.Read("cache", cache);
  fields.Read("sequences", schedule.sequences);
  fields.Read("shared_prefix", schedule.shared_prefix);
  fields.Finish();
  try {
    schedule.flash_attention = FlashAttentionFromName(flash_attention);
    schedule.cache = CacheTypeFromName(cache);
    CheckScheduleRequest(schedule);
  } catch (Error& error) {
    throw error.Within(where);
  }
}

Conditions ReadConditions(const YAML::Node& node, const std::string& where) {
  Conditions conditions;
  YamlFields fields(node, where);
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    Schedule schedule;
    ReadSchedule(fields.At(name), where, schedule);
    conditions.emplace_back(name, schedule);
  }
  return conditions;
}

Scenario ScenarioFromName(const std::string& name) {
  if (name == "1") return Scenario::kForward;
  if (name == "2") return Scenario::kBackward;
  if (name == "both") return Scenario::kBoth;
  throw Error(ErrorKind::kUsage, fmt::format("unknown scenario \"{}\": choose 1, 2 or both", name));
}

std::string ExperimentConfig::ModelLabel() const { return name.empty() ? std::filesystem::path(model).stem().string() : name; }

ExperimentConfig ReadExperimentConfig(const std::filesystem::path& path) {
  const std::string where = path.string();
  YamlFields fields(ReadYaml(path), where);
  ExperimentConfig config;
  std::string scenario = "both";
  std::string states(StateTypeName(config.states));
  std::string prompts = config.prompts.string();
  fields.Read("experiment", config.experiment);
  fields.Read("title", config.title);
  fields.Read("model", config.model);
  fields.Read("name", config.name);
  fields.Read("prover", config.prover);
  if (fields.Has("verifier")) config.verifier_devices = ReadWords(fields.At("verifier"), where);
  if (fields.Has("workers")) config.workers = ReadWorkers(fields.At("workers"), where);
  fields.Read("worker_timeout", config.worker_timeout);
  fields.Read("scenario", scenario);
  fields.Read("trials", config.trials);
  fields.Read("verifiers", config.verifiers);
  fields.Read("prompts", prompts);
  fields.Read("prompt_length", config.prompt_length);
  fields.Read("raw", config.raw);
  fields.Read("output_tokens", config.output_tokens);
  if (fields.Has("sampling")) ReadSampling(fields.At("sampling"), where, config.sampling);
  if (fields.Has("record")) {
    YamlFields record(fields.At("record"), where);
    record.Read("layers_every", config.layers_every);
    record.Read("final", config.with_final);
    record.Read("states", states);
    record.Finish();
  }
  if (fields.Has("schedule")) {
    ReadSchedule(fields.At("schedule"), where, config.schedule);
  }
  if (fields.Has("conditions")) config.conditions = ReadConditions(fields.At("conditions"), where);
  if (fields.Has("attack")) config.attacks = ReadWords(fields.At("attack"), where);
  if (fields.Has("lazy_verifier")) config.lazy_verifiers = ReadWords(fields.At("lazy_verifier"), where);
  fields.Read("trap", config.trap);
  if (fields.Has("expected")) {
    std::string expected;
    fields.Read("expected", expected);
    if (expected != "accept" && expected != "reject")
      throw Error(ErrorKind::kInput, fmt::format("{}: expected can be accept or reject, not \"{}\"", where, expected));
    config.expects_acceptance = expected == "accept";
  }
  fields.Read("check_sampling", config.check_sampling);
  fields.Read("match", config.match);
  std::string calibration;
  fields.Read("calibration", calibration);
  if (!calibration.empty()) config.calibration = path.parent_path() / calibration;
  fields.Read("policy", config.policy);
  if (fields.Has("peers")) config.peers = ReadPeers(fields.At("peers"), where);
  fields.Read("positions", config.positions);
  if (fields.Has("thresholds")) {
    YamlFields thresholds(fields.At("thresholds"), where);
    thresholds.Read("pe", config.thresholds.pe);
    thresholds.Read("pm", config.thresholds.pm);
    thresholds.Read("pw", config.thresholds.pw);
    thresholds.Read("mean_error", config.thresholds.mean_error);
    thresholds.Read("significance", config.thresholds.significance);
    thresholds.Finish();
  }
  fields.Read("criterion", config.thresholds.accept_rate);
  fields.Finish();
  try {
    config.scenario = ScenarioFromName(scenario);
    config.states = StateTypeFromName(states);
    config.prompts = path.parent_path() / prompts;
    CheckExperimentConfig(config);
  } catch (Error& error) {
    throw error.Within(where);
  }
  return config;
}

void CheckExperimentConfig(const ExperimentConfig& config) {
  if (config.trials < 1) throw Error(ErrorKind::kUsage, fmt::format("{} trials make no experiment", config.trials));
  if (config.verifiers < 1) throw Error(ErrorKind::kUsage, fmt::format("{} verifiers make no experiment", config.verifiers));
  if (config.output_tokens < 1)
    throw Error(ErrorKind::kUsage, fmt::format("{} output tokens make no experiment", config.output_tokens));
  if (config.layers_every < 1)
    throw Error(ErrorKind::kUsage, fmt::format("a layer interval of {} makes no sense: choose 1 or more", config.layers_every));
  CheckWorkerTimeout(config.worker_timeout);
  CheckScheduleRequest(config.schedule);
  if (config.ModelLabel().find('/') != std::string::npos || config.ModelLabel().empty()) {
    throw Error(ErrorKind::kUsage, fmt::format("the model's name \"{}\" cannot be part of a file name", config.ModelLabel()));
  }
  CheckSampling(config.sampling);
  CheckPositions(config.positions);
  for (const auto& [name, peer] : config.peers) {
    CheckPeerName(name, peer);
    CheckCanJudge(MakePeerPolicy(peer.method, peer.parameters), PlanEvery(1, 1, config.with_final, config.states),
                  config.check_sampling);
  }
  if (config.policy == "calibrated") {
    if (config.calibration.empty())
      throw Error(ErrorKind::kUsage, "the policy calibrated needs a calibration; make one with verillm calibrate");
  } else if (IsPeerPolicy(config.policy) && !config.peers.contains(config.policy)) {
    throw Error(ErrorKind::kUsage, fmt::format("the policy {} must be named under peers", config.policy));
  } else if (!config.peers.contains(config.policy)) {
    MakePolicy(config.policy, config.thresholds);
  }
  for (const std::string& attack : config.attacks) {
    if (attack != kHonest) FindAttack(attack);
  }
  if (!config.trap.empty()) FindAttack(config.trap);
  for (const std::string& lazy : config.lazy_verifiers) {
    if (lazy != kHonest) FindLazyVerifier(lazy);
  }
  if (config.prover != "auto") WorkerFor(config.workers, config.prover, {});
  for (const std::string& device : config.verifier_devices) {
    if (device != "auto") {
      WorkerFor(config.workers, device, {});
    } else if (config.verifier_devices.size() > 1) {
      throw Error(ErrorKind::kUsage, "one verifier among several cannot be auto: name the devices");
    }
  }
}

std::map<std::string, Policy> PoliciesOf(const ExperimentConfig& config) {
  std::map<std::string, Policy> policies;
  for (const std::string_view name : PolicyNames()) policies.emplace(name, MakePolicy(name, config.thresholds));
  for (const auto& [name, peer] : config.peers) policies.emplace(name, MakePeerPolicy(peer.method, peer.parameters));
  if (!config.calibration.empty()) policies.emplace("calibrated", MakeCalibratedPolicy(ReadCalibration(config.calibration)));
  return policies;
}

std::vector<std::string> ReadPrompts(const std::filesystem::path& path, const std::string& length) {
  YamlFields file(ReadYaml(path), path.string());
  YamlFields lengths(file.At("prompts"), path.string());
  file.Finish();
  if (!lengths.Has(length))
    throw Error(ErrorKind::kUsage, fmt::format("{}: has no prompts of length \"{}\"", path.string(), length));
  const YAML::Node prompts = lengths.At(length);
  if (prompts.IsScalar())
    throw Error(ErrorKind::kInput, fmt::format("{}:{}: is no list of words", path.string(), prompts.Mark().line + 1));
  return ReadWords(prompts, path.string());
}

WorkerCommand WorkerFor(const std::map<std::string, std::vector<std::string>>& workers, const std::string& device,
                        const std::vector<std::filesystem::path>& model_folders) {
  const std::size_t at = device.find('@');
  if (at == std::string::npos) return LocalWorker(device, model_folders);
  const std::string name = device.substr(at + 1);
  const auto found = workers.find(name);
  if (found == workers.end()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("device {} is on a worker \"{}\" that the configuration does not name under workers:", device, name));
  }
  return {.name = device, .command = found->second, .device = device.substr(0, at)};
}

std::string DeviceWithoutWorker(const std::string& device) { return device.substr(0, device.find('@')); }

}  // namespace verillm
