using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.OpenAi;

/// <summary>The body of <c>POST /v1/uploads</c>.</summary>
public sealed record CreateUploadRequest
{
    /// <summary>Ends in .jsonl, .csv or .tsv.</summary>
    [Length(1, 256)]
    public required string Filename { get; init; }

    /// <summary><c>fine-tune</c>.</summary>
    public required string Purpose { get; init; }

    /// <summary>Of all parts together.</summary>
    [Range(1.0, long.MaxValue)]
    public required long Bytes { get; init; }

    /// <summary>Kept as it is.</summary>
    [Length(1, 256)]
    public required string MimeType { get; init; }

    /// <summary>Files do not expire here: it is refused.</summary>
    public JsonElement? ExpiresAfter { get; init; }
}

public static class CreateUpload
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1); // OpenAI's.

    /// <summary>Begins the upload of a large file in parts, as OpenAI's <c>POST /uploads</c>. It expires after an hour.</summary>
    public static async Task<JsonHttpResult<OpenAiUpload>> Handle(HttpRequest request, FineTuneDb db, IOptions<DatasetSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        var asked = await JsonContract.ReadAsync<CreateUploadRequest>(request.Body, Catalog.Json, cancel);
        OpenAiFile.CheckPurpose(asked.Purpose, "/purpose");
        if (asked.ExpiresAfter is not null)
            throw new FaultException("/expires_after", null, "Files do not expire here.", "Leave it out, and delete the file when you are done with it.");
        if (Path.GetFileName(asked.Filename) != asked.Filename || asked.Filename.Contains('\\', StringComparison.Ordinal))
            throw new FaultException("/filename", asked.Filename, "This is a path.", "Give the file's name alone.");
        await db.CheckUpload(asked.Filename, "/filename", asked.Bytes, settings.Value.MaxBytes, cancel);
        var now = clock.GetMicrosecondsNow();
        var upload = new Upload
        {
            Id = Ids.NewUpload(),
            ProjectId = db.Project!,
            FileName = asked.Filename,
            Purpose = asked.Purpose,
            MimeType = asked.MimeType,
            Bytes = asked.Bytes,
            CreatedAt = now,
            ExpiresAt = now + Lifetime,
        };
        db.Uploads.Add(upload);
        await db.SaveChangesAsync(cancel);
        return OpenAiJson.Answer(OpenAiUpload.From(upload));
    }
}
