using System.ComponentModel.DataAnnotations;
using System.Net.Mime;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Datasets;

/// <summary>The body of <c>POST /datasets/uploads</c>.</summary>
public sealed record NewDatasetUpload
{
    /// <summary>The dataset's name, such as <c>sst2/train.tsv</c>; it ends in .csv, .tsv, .jsonl or .parquet.</summary>
    [Length(1, 128)]
    public required string Name { get; init; }

    /// <summary>Of the whole file.</summary>
    [Range(1.0, long.MaxValue)]
    public required long Bytes { get; init; }

    /// <summary>Of the whole file, in hexadecimal; given, it is compared at the end.</summary>
    [RegularExpression("[0-9a-fA-F]{64}")]
    public string? Sha256 { get; init; }
}

public static class BeginDatasetUpload
{
    /// <summary>Begins the upload of a large file in parts, which survives broken connections: <c>PUT</c> the parts, then <c>POST …/complete</c>.</summary>
    /// <remarks>Parts may be sent again, in any order and at the same time; <c>GET</c> tells which are there. After a day (setting <c>Datasets:UploadLifetime</c>) what is not complete is deleted.</remarks>
    public static async Task<Created<DatasetUploadView>> Handle(HttpRequest request, FineTuneDb db, IOptions<DatasetSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        var asked = await JsonContract.ReadAsync<NewDatasetUpload>(request.Body, Catalog.Json, cancel);
        if (asked.Name.Any(char.IsControl) || Path.GetFileName(asked.Name).Length == 0)
            throw new FaultException("/name", asked.Name, "This is no name of a file.", "Give one without control characters, which ends in .csv, .tsv, .jsonl or .parquet.");
        await db.CheckUpload(asked.Name, "/name", asked.Bytes, settings.Value.MaxBytes, cancel);
        var now = clock.GetMicrosecondsNow();
        var upload = new Upload
        {
            Id = Ids.NewUpload(),
            ProjectId = db.Project!,
            FileName = asked.Name,
            Purpose = Upload.ForDataset,
            MimeType = MediaTypeNames.Application.Octet,
            Sha256 = asked.Sha256?.ToLowerInvariant(),
            Bytes = asked.Bytes,
            CreatedAt = now,
            ExpiresAt = now + settings.Value.UploadLifetime,
        };
        db.Uploads.Add(upload);
        await db.SaveChangesAsync(cancel);
        return TypedResults.Created($"/datasets/uploads/{upload.Id}", DatasetUploadView.From(upload, []));
    }
}
