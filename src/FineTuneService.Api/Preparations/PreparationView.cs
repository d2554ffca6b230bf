using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.Preparations;

/// <summary>What a cleaning has made.</summary>
/// <param name="Train">Id of the cleaned dataset.</param>
/// <param name="Validation">Id of the cleaned, or held out, validation rows; absent without any.</param>
/// <param name="Test">Id of the cleaned test rows; absent without any.</param>
/// <param name="Cleaning">With the recipe as it was taken, and what became of the rows.</param>
public sealed record CleanedDatasets(string Train, string? Validation, string? Test, CleaningResult Cleaning);

/// <summary>What a dataset was made of.</summary>
/// <param name="Dataset">Id of the dataset that was cleaned.</param>
/// <param name="Preparation">Id of the cleaning.</param>
/// <param name="Split">What these rows are.</param>
/// <param name="Recipe">With everything as it was taken: on the same files it gives the same bytes again.</param>
/// <param name="Sha256">Identity of this version of the data, over the contents and the recipe.</param>
public sealed record DatasetOrigin(string Dataset, string Preparation, DataSplit Split, CleaningRecipe Recipe, string Sha256);

/// <summary>A report or a cleaning as clients see it.</summary>
/// <param name="Dataset">Id of the dataset that it is about.</param>
/// <param name="Phase">What is being done.</param>
/// <param name="Progress">Share that is done, in [0, 1].</param>
/// <param name="Reason">Why it has failed.</param>
/// <param name="Faults">What you can mend.</param>
/// <param name="Report">Of a report that has succeeded; not in lists.</param>
/// <param name="Cleaned">Of a cleaning that has succeeded; not in lists.</param>
public sealed record PreparationView(
    string Id, string Dataset, string? Validation, string? Test, PreparationKind Kind, PreparationStatus Status, string? Phase, double Progress, string? Reason, IReadOnlyList<Fault>? Faults,
    DataReport? Report, CleanedDatasets? Cleaned, DateTimeOffset CreatedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt)
{
    public static PreparationView From(Preparation row) => new(
        row.Id, row.DatasetId, row.ValidationId, row.TestId, row.Kind, row.Status, row.Phase, row.Progress, row.Reason, Read<IReadOnlyList<Fault>>(row.Faults),
        row.Kind == PreparationKind.Report ? Read<DataReport>(row.Result) : null, row.Kind == PreparationKind.Cleaning ? Read<CleanedDatasets>(row.Result) : null,
        row.CreatedAt, row.StartedAt, row.FinishedAt);

    private static T? Read<T>(string? json) => json is null ? default : JsonSerializer.Deserialize<T>(json, SnakeCaseJson.Options);
}
