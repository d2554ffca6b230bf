using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Api.Idempotency;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Projects;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Sweeps;

public static class CreateSweep
{
    /// <summary>Posts a sweep: jobs of one specification with different values in some of its fields, of which the best is named.</summary>
    /// <remarks>
    /// Every job's specification is judged as <c>POST /jobs</c> would, before any is stored; a fault is told where the request can be mended.
    /// The jobs are ordinary ones: <c>GET /jobs?sweep=…</c> lists them, and each can be cancelled by itself. They are compared by their best evaluations.
    /// </remarks>
    public static async Task<Created<SweepView>> Handle(HttpContext context, FineTuneDb db, ResolveJob resolve, SweepProgress progress, TimeProvider clock, CancellationToken cancel)
    {
        var faults = new FaultList();
        if (Read(await JsonContract.ParseAsync(context.Request.Body, cancel), faults) is not { } spec)
            throw new FaultException([.. faults.All]);
        CheckMetric(spec, faults);
        var children = new SweepChildren(spec, new SweepSpace(spec, faults).Points());
        await children.Read(resolve, cancel);
        using var transaction = Transactions.Begin();
        await Quotas.CheckJobs(db, clock, cancel);
        await children.Resolve(resolve, cancel);
        foreach (var fault in children.Faults())
            faults.Add(fault);
        faults.ThrowIfAny();

        var (metric, greaterIsBetter) = Judge(children.All);
        var sweep = new Sweep
        {
            Id = Ids.NewSweep(),
            ProjectId = db.Project!,
            Name = spec.Name,
            Status = SweepStatus.Running,
            Spec = JsonSerializer.Serialize(spec, Catalog.Json),
            Metric = metric,
            GreaterIsBetter = greaterIsBetter,
            MaxConcurrentJobs = spec.MaxConcurrentJobs,
            CreatedAt = clock.GetMicrosecondsNow(),
        };
        db.Sweeps.Add(sweep);
        foreach (var (index, child) in children.All.Index())
            db.SweepTrials.Add(new()
            {
                SweepId = sweep.Id,
                Number = index + 1,
                Rung = 0,
                Parameters = child.Parameters,
                Spec = JsonSerializer.Serialize(child.Resolved!.Spec, Catalog.Json),
                Resolutions = JsonSerializer.Serialize(child.Resolved.Resolutions, Catalog.Json),
            });
        await db.SaveChangesAsync(cancel);
        await progress.Advance(sweep.Id, cancel);
        var view = await ReadSweeps.View(db, sweep, cancel);
        await IdempotentWork.KeepCreated(context, db, $"/sweeps/{sweep.Id}", view, cancel);
        transaction.Complete();
        return TypedResults.Created($"/sweeps/{sweep.Id}", view);
    }

    /// <summary>Collects the faults and returns what is sound; null when a required field is not.</summary>
    private static SweepSpec? Read(JsonElement json, FaultList faults)
    {
        if (new JsonContract(Catalog.Json, faults).Read<SweepSpec>(json) is not JsonObject sound || sound["spec"] is null || sound["parameters"] is null)
            return null;
        if (faults.All.Any(fault => JsonPointer.IsWithin(fault.Pointer, "/strategy")))
            return null; // Without a strategy it cannot be told what is wrong with a space.
        return sound.Deserialize<SweepSpec>(Catalog.Json);
    }

    /// <summary>What the sweep says of its metric must not contradict what its specification says.</summary>
    private static void CheckMetric(SweepSpec spec, FaultList faults)
    {
        if (spec.Spec.ValueKind != JsonValueKind.Object || !spec.Spec.TryGetProperty("training", out var training) || training.ValueKind != JsonValueKind.Object)
            return;
        if (spec.Metric is not null && training.TryGetProperty("metric_for_best_model", out var metric) && metric.ValueKind == JsonValueKind.String)
            faults.Require(
                EvaluationMetric.Named(metric.GetString()!) == EvaluationMetric.Named(spec.Metric), "/metric", spec.Metric, $"The specification's metric_for_best_model is {metric.GetString()}: each job's best checkpoint would be another one than the sweep's.", "Keep one of them.");
        if (spec.Direction is { } direction && training.TryGetProperty("greater_is_better", out var greater) && greater.ValueKind is JsonValueKind.True or JsonValueKind.False)
            faults.Require(
                greater.GetBoolean() == (direction == SweepDirection.Maximize), "/direction", direction.ToString().ToLowerInvariant(), $"The specification's greater_is_better is {greater.GetRawText()}.", "Keep one of them.");
    }

    private static (string Metric, bool GreaterIsBetter) Judge(IReadOnlyList<SweepChild> children) =>
        children.Select(child => child.Resolved!.Spec.Training).Select(training => (EvaluationMetric.Named(training.MetricForBestModel!), training.GreaterIsBetter!.Value)).Distinct().ToList() is [var one]
            ? one
            : throw new FaultException("/metric", null, "The trials have different metrics, by which they cannot be compared.", "Give metric and direction.");
}
