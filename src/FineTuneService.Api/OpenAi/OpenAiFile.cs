using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.OpenAi;

/// <summary>A dataset, or the results of a job, as OpenAI's clients see it.</summary>
public sealed record OpenAiFile
{
    public const string ForFineTuning = "fine-tune", Results = "fine-tune-results";

    /// <summary>Those that the .NET client knows; it breaks at any other.</summary>
    private static readonly string[] Purposes = [ForFineTuning, Results, "assistants", "assistants_output", "batch", "batch_output", "vision", "user_data", "evals"];

    public required string Id { get; init; }
    public string Object => "file";
    public required long Bytes { get; init; }

    /// <summary>Unix time.</summary>
    public required long CreatedAt { get; init; }
    public required string Filename { get; init; }

    /// <summary><c>fine-tune</c> or <c>fine-tune-results</c>.</summary>
    public required string Purpose { get; init; }

    /// <summary>A file that is there was read through.</summary>
    public string Status => "processed";

    public static OpenAiFile From(Dataset dataset) => From(dataset.Id, dataset.FileName, dataset.Bytes, dataset.CreatedAt);

    public static OpenAiFile From(string datasetId, string fileName, long bytes, DateTimeOffset createdAt) => new()
    {
        Id = OpenAiIds.File(datasetId),
        Bytes = bytes,
        CreatedAt = createdAt.ToUnixTimeSeconds(),
        Filename = fileName,
        Purpose = ForFineTuning,
    };

    /// <exception cref="FaultException">When it is none of <c>fine-tune</c>: this service does nothing else with files.</exception>
    public static void CheckPurpose(string? purpose, string pointer)
    {
        if (purpose != ForFineTuning)
            throw new FaultException(pointer, purpose, purpose is null ? "The purpose is missing." : "Files serve one purpose here.", $"Give {ForFineTuning}.");
    }

    /// <exception cref="FaultException">When there is no such purpose.</exception>
    public static void CheckKnown(string? purpose)
    {
        if (purpose is not null && !Purposes.Contains(purpose))
            throw new FaultException("?purpose", purpose, "There is no such purpose.", $"Give one of: {string.Join(", ", Purposes)}.");
    }
}
