using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Assessment;

/// <summary>Rows that are not learnt, scored before the first step and later: by what their loss rises, the model forgets.</summary>
/// <param name="Split">Of their evaluations among the run's events.</param>
/// <param name="Task">Which they are the training rows of.</param>
public sealed record Probe(string Split, TrainingTask Task)
{
    /// <summary>Name of an evaluation's loss with what is forgotten, without prefix.</summary>
    public const string AwareLoss = "forgetting_aware_loss";

    private const string Pointer = "/dataset/earlier";

    public string Prefix => Split + "_";

    /// <summary>What has no head for language, or learns from comparisons, has no loss on an earlier dataset before it is trained.</summary>
    public static void Check(TrainingTaskConfig task, WeightsFrom init, DatasetSpec dataset, TrainingArguments training, FaultList faults)
    {
        faults.Require(
            training.ForgettingWeight == 0 || training.ForgettingCheck || dataset.Earlier is { Count: > 0 }, "/training/forgetting_weight", training.ForgettingWeight, "Nothing measures what is forgotten.",
            "Set forgetting_check, name earlier datasets in dataset.earlier, or leave it out.");
        if (dataset.Earlier is not { Count: > 0 } earlier)
            return;
        faults.Require(
            task is { CanReplay: true, Head: ModelHead.CausalLm or ModelHead.MaskedLm }, Pointer, earlier[0], $"Earlier datasets are scored for tasks that predict tokens, and not for {Catalog.NameOf(task)}.",
            "Leave it out, and evaluate the result on it.");
        faults.Require(init == WeightsFrom.Pretrained, Pointer, earlier[0], "Weights that are drawn know nothing to forget.", "Leave it out, or start from pretrained weights.");
    }

    /// <summary>What the losses have risen by since the first, on average.</summary>
    /// <param name="log">As in <c>trainer_state.json</c>.</param>
    public static double Rise(IReadOnlyList<Probe> probes, IReadOnlyList<JsonObject> log) => probes.Average(probe =>
    {
        var losses = log.Where(line => line.ContainsKey(probe.Prefix + "loss")).Select(line => (double?)line[probe.Prefix + "loss"] ?? double.NaN).ToList();
        return losses[^1] - losses[0];
    });

    /// <summary>Name of the evaluations of an earlier dataset, by its place among them.</summary>
    public static string Earlier(int index) => FormattableString.Invariant($"earlier_{index}");

    /// <summary>General text, where the run wants it, and the earlier datasets.</summary>
    /// <exception cref="FaultException">With file and line of each fault in them.</exception>
    public static IReadOnlyList<Probe> Of(JobSpec spec, PretrainedConfig config, Tokenizer tokenizer) =>
    [
        .. ForgettingProbe.Of(spec, config, tokenizer) is { } general ? [new(ForgettingProbe.Split, general)] : Array.Empty<Probe>(),
        .. (spec.Dataset.Earlier ?? []).Select((file, index) => new Probe(
            Earlier(index),
            ((TrainingTaskConfig)spec.Task).LoadToScore(spec.Dataset with { Train = file, Validation = null, Test = null, Replay = null, ValidationSplit = 0 }, spec.Training, config, tokenizer))),
    ];
}
