using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Training;

namespace FineTuneService.Api.Sweeps;

/// <summary>A point of the space as a job's specification, and what is wrong with that.</summary>
/// <param name="Point">What makes it differ from the others.</param>
/// <param name="Settings">The point, and what all jobs of the sweep have in common.</param>
internal sealed record SweepChild(IReadOnlyList<Setting> Point, IReadOnlyList<Setting> Settings)
{
    public FaultList Faults { get; } = new();
    public JobDraft? Draft { get; set; }
    public ResolvedSpec? Resolved { get; set; }

    /// <summary>The value of the row <c>SweepTrial.Parameters</c>.</summary>
    public string Parameters => JsonSerializer.Serialize(Point.ToDictionary(setting => setting.Pointer, setting => setting.Value), SnakeCaseJson.Options);
}

/// <summary>The jobs of a sweep, each judged as if it had been posted by itself.</summary>
internal sealed class SweepChildren(SweepSpec sweep, IReadOnlyList<IReadOnlyList<Setting>> points)
{
    private const int MostFaults = 100;

    private readonly List<SweepChild> _children = [];

    public IReadOnlyList<SweepChild> All => _children;

    /// <summary>Reads every specification and looks for its models; before the transaction.</summary>
    public async Task Read(ResolveJob resolve, CancellationToken cancel)
    {
        var common = Common().ToList();
        foreach (var point in points)
        {
            var child = new SweepChild(point, [.. point, .. common]);
            _children.Add(child);
            if (JobSpecReader.Read(Write(child), child.Faults) is { } spec)
                child.Draft = await resolve.FindModels(spec, child.Faults, cancel);
        }
    }

    /// <summary>Within the transaction that stores them.</summary>
    public async Task Resolve(ResolveJob resolve, CancellationToken cancel)
    {
        foreach (var child in _children)
        {
            if (child.Draft is not { } draft)
                continue;
            child.Resolved = await resolve.Resolve(draft, child.Faults, cancel);
            if (!child.Faults.Any)
                CheckScore(child.Resolved.Spec, child.Faults);
        }
    }

    /// <summary>The faults of all children, each once, and told where the request can be mended.</summary>
    public IEnumerable<Fault> Faults() =>
        (from child in _children
         from fault in child.Faults.All
         let setting = child.Settings.Where(setting => JsonPointer.IsWithin(fault.Pointer, setting.Pointer)).MaxBy(setting => setting.Pointer.Length)
         where setting is not null || !sweep.Parameters.Keys.Any(parameter => JsonPointer.IsWithin(fault.Pointer, parameter)) // A space that is faulty itself has set nothing.
         select (Key: (Pointer: setting is null ? $"/spec{fault.Pointer}" : setting.From + fault.Pointer[setting.Pointer.Length..], fault.Message), Fault: fault, Child: child, IsSet: setting is not null))
        .GroupBy(told => told.Key)
        .Select(told =>
        {
            var first = told.First();
            var concerns = first.IsSet || told.Select(one => one.Child).Distinct().Count() == _children.Count ? "" : $" So it is where {string.Join(" and ", first.Child.Point)}.";
            return first.Fault with { Pointer = told.Key.Pointer, Message = first.Fault.Message + concerns };
        })
        .Take(MostFaults);

    /// <summary>What every specification gets.</summary>
    private IEnumerable<Setting> Common()
    {
        if (sweep.Metric is not null)
            yield return new("/training/metric_for_best_model", JsonSerializer.SerializeToElement(sweep.Metric), "/metric");
        if (sweep.Direction is not null)
            yield return new("/training/greater_is_better", JsonSerializer.SerializeToElement(sweep.Direction == SweepDirection.Maximize), "/direction");
        if (sweep.Name is not null && sweep.Spec.ValueKind == JsonValueKind.Object && !sweep.Spec.TryGetProperty("name", out _) && !sweep.Parameters.ContainsKey("/name"))
            yield return new("/name", JsonSerializer.SerializeToElement(sweep.Name), "/name");
    }

    private JsonElement Write(SweepChild child)
    {
        if (JsonSerializer.SerializeToNode(sweep.Spec) is not JsonObject spec)
            return sweep.Spec;
        foreach (var setting in child.Settings)
            if (JsonPointer.Tokens(setting.Pointer) is { } tokens && !JsonPointer.TryPut(spec, tokens, JsonSerializer.SerializeToNode(setting.Value)))
                child.Faults.Add(setting.Pointer, setting.Value.GetRawText(), "There is no place for it: something in the specification that has no such member is in the way.", "Correct the pointer, or the specification.");
        return JsonSerializer.SerializeToElement(spec);
    }

    /// <summary>Trials are compared by their best checkpoints: there must be one.</summary>
    private static void CheckScore(JobSpec spec, FaultList faults)
    {
        var training = spec.Training;
        faults.Require(
            training.EvalStrategy != IntervalStrategy.No, "/training/eval_strategy", "no", "Without evaluations no trial is better than another.",
            "Set eval_strategy to epoch or steps, and give dataset.validation or a dataset.validation_split above 0.");
        faults.Require(
            training.LoadBestModelAtEnd || training.EvalStrategy == IntervalStrategy.No, "/training/load_best_model_at_end", "false", "Trials are compared by their best checkpoints, which would not be kept.", "Leave it out.");
        if (training is { EvalStrategy: IntervalStrategy.Steps, EvalSteps: >= 1, MaxSteps: > 0 })
            faults.Require(
                training.EvalSteps <= training.MaxSteps, "/training/eval_steps", training.EvalSteps, $"The first evaluation would come after the last step, {training.MaxSteps}.",
                $"Give at most {training.MaxSteps}, or a share below 1; and save_steps likewise.");
    }
}
