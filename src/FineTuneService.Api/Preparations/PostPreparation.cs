using System.Text.Json;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Preparations;

public static class PostPreparation
{
    /// <summary>Has a dataset looked at: duplicates, wrong and conflicting labels, leaks into validation rows, lengths, languages, personal data. The answer comes at once, the report when it is done.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<Accepted<PreparationView>> Report(string id, HttpRequest request, FineTuneDb db, TokenizerFolder tokenizers, PreparationSignal signal, TimeProvider clock, CancellationToken cancel)
    {
        await db.FindDataset(id, cancel);
        var asked = await JsonContract.ReadAsync<ReportRequest>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        faults.Require(asked.Options.Model is null, "/options/model", asked.Options.Model, "A folder means nothing here.", "Name the model in base_model.");
        faults.Require(asked.Revision is null || asked.BaseModel is not null, "/revision", asked.Revision, "A revision of what?", "Name the model in base_model.");
        await db.CheckSplits(asked.Validation, asked.Test, faults, cancel);
        if (asked.BaseModel is not null && faults.All.Count == 0)
            await tokenizers.Find(asked.BaseModel, asked.Revision, cancel);
        return await db.Post(id, PreparationKind.Report, asked.Validation, asked.Test, asked, signal, clock, cancel);
    }

    /// <summary>Makes a cleaned dataset of another, which stays as it is. The answer comes at once; the new datasets' ids are in it when they are there.</summary>
    /// <param name="id">The dataset's id.</param>
    public static async Task<Accepted<PreparationView>> Clean(string id, HttpRequest request, FineTuneDb db, PreparationSignal signal, TimeProvider clock, CancellationToken cancel)
    {
        await db.FindDataset(id, cancel);
        var asked = await JsonContract.ReadAsync<CleaningRequest>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        faults.Require(
            asked.Validation is null || asked.Recipe.ValidationSplit is null, "/recipe/validation_split", asked.Recipe.ValidationSplit?.ToString(System.Globalization.CultureInfo.InvariantCulture),
            "There are validation rows already.", "Leave out validation_split, or validation.");
        await db.CheckSplits(asked.Validation, asked.Test, faults, cancel);
        return await db.Post(id, PreparationKind.Cleaning, asked.Validation, asked.Test, asked, signal, clock, cancel);
    }

    private static async Task CheckSplits(this FineTuneDb db, string? validation, string? test, FaultList faults, CancellationToken cancel)
    {
        foreach (var (pointer, id) in new[] { ("/validation", validation), ("/test", test) })
            if (id is not null)
                faults.Require(await db.Datasets.AnyAsync(dataset => dataset.Id == id, cancel), pointer, id, "There is no such dataset.", "Choose one of GET /datasets, or upload it.");
        faults.ThrowIfAny();
    }

    private static async Task<Accepted<PreparationView>> Post<TRequest>(
        this FineTuneDb db, string id, PreparationKind kind, string? validation, string? test, TRequest asked, PreparationSignal signal, TimeProvider clock, CancellationToken cancel)
    {
        var preparation = New(db.Project!, id, kind, validation, test, asked, clock);
        db.Preparations.Add(preparation);
        await db.SaveChangesAsync(cancel);
        signal.Raise();
        return TypedResults.Accepted($"/datasets/{id}/preparations/{preparation.Id}", PreparationView.From(preparation));
    }

    /// <summary>The report that a dataset gets unasked.</summary>
    internal static Preparation ReportOf(Dataset dataset, TimeProvider clock) => New(dataset.ProjectId, dataset.Id, PreparationKind.Report, null, null, new ReportRequest(), clock);

    private static Preparation New<TRequest>(string project, string id, PreparationKind kind, string? validation, string? test, TRequest asked, TimeProvider clock) => new()
    {
        Id = Ids.NewPreparation(),
        ProjectId = project,
        DatasetId = id,
        ValidationId = validation,
        TestId = test,
        Kind = kind,
        Request = JsonSerializer.Serialize(asked, SnakeCaseJson.Options),
        CreatedAt = clock.GetMicrosecondsNow(),
    };
}
