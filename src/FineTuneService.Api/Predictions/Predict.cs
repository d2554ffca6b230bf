using System.ComponentModel.DataAnnotations;
using FineTuneService.Api.Checkpoints;
using FineTuneService.Api.Jobs;
using FineTuneService.Api.WarmModels;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Predictions;

/// <summary>What to classify: <c>texts</c>, or <c>inputs</c> when they are pairs.</summary>
public sealed record PredictBody
{
    public const int Most = 256;

    /// <summary>Up to 256 texts.</summary>
    public IReadOnlyList<string>? Texts { get; init; }

    /// <summary>Up to 256 texts or pairs of texts.</summary>
    public IReadOnlyList<PredictInput>? Inputs { get; init; }

    /// <summary>Whether a classifier's logits are divided by the temperature that was fitted on its validation rows; false: probabilities as transformers computes them. No label changes by it.</summary>
    public bool Calibrated { get; init; } = true;

    /// <summary>Gives no label (<c>abstained</c>) to a text whose most probable class is less probable than this; <c>GET /jobs/{id}/report</c> shows what it costs and brings.</summary>
    [Range(0.0, 1.0)]
    public double? AbstainBelow { get; init; }
}

/// <param name="Step">The checkpoint's step.</param>
/// <param name="Predictions">In the order of the inputs.</param>
/// <param name="Temperature">By which the logits were divided; absent: they were left as they are.</param>
public sealed record PredictAnswer(int Step, IReadOnlyList<Prediction> Predictions, double? Temperature = null);

public static class Predict
{
    /// <summary>Classifies texts with a job's checkpoint. The first request loads the model; it then stays warm for a while.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="checkpoint">A step, <c>best</c> or <c>final</c>. Unless given: the best one, else the newest.</param>
    public static async Task<Ok<PredictAnswer>> Handle(
        string id, HttpRequest request, FineTuneDb db, CheckpointFiles files, WarmModelPool models, CancellationToken cancel, string? checkpoint = null)
    {
        await db.FindJob(id, cancel);
        var asked = await ReadRequest(request.Body, cancel);
        var folder = await CheckpointFolder.Find(db, files, id, checkpoint, cancel);
        var reply = await models.AskAsync<PredictReply>("predict", folder.Path, asked, cancel).SingleAsync(cancel);
        return TypedResults.Ok(new PredictAnswer(folder.Checkpoint.Step, reply.Predictions ?? throw new InvalidDataException("The predictor gave neither predictions nor faults."), reply.Temperature));
    }

    private static async Task<PredictRequest> ReadRequest(Stream utf8, CancellationToken cancel)
    {
        var body = await JsonContract.ReadAsync<PredictBody>(utf8, Catalog.Json, cancel);
        var inputs = body.Inputs ?? body.Texts?.Select(text => new PredictInput { Text = text }).ToArray() ?? [];
        var faults = new FaultList();
        faults.Require(body.Texts is null || body.Inputs is null, "/texts", null, "texts and inputs were both given.", "Give one of them.");
        faults.Require(inputs.Count > 0, "/texts", null, "There is nothing to classify.", "Give texts, or inputs for pairs of texts.");
        faults.Require(inputs.Count <= PredictBody.Most, body.Inputs is null ? "/texts" : "/inputs", inputs.Count, "These are too many at once.", $"Give at most {PredictBody.Most}.");
        faults.ThrowIfAny();
        return new() { Inputs = inputs, Calibrated = body.Calibrated, AbstainBelow = body.AbstainBelow };
    }
}
