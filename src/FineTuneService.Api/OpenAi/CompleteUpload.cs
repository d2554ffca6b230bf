using System.ComponentModel.DataAnnotations;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>The body of <c>POST /v1/uploads/{id}/complete</c>.</summary>
public sealed record CompleteUploadRequest
{
    /// <summary>The parts, in the order in which they make the file.</summary>
    [Length(1, 10_000)]
    public required IReadOnlyList<string> PartIds { get; init; }

    /// <summary>Of the file, in hexadecimal; given, it is compared.</summary>
    [Length(32, 32)]
    public string? Md5 { get; init; }
}

public static class CompleteUpload
{
    /// <summary>Makes a file of an upload's parts. It is published whole or not at all; after a refusal the upload is still there.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<JsonHttpResult<OpenAiUpload>> Handle(string id, HttpRequest request, FineTuneDb db, FinishUpload finish, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindPendingUpload(id, OpenAiFile.ForFineTuning, clock, cancel);
        var asked = await JsonContract.ReadAsync<CompleteUploadRequest>(request.Body, Catalog.Json, cancel);
        await Check(upload, asked.PartIds, db, cancel);
        var dataset = await finish.Publish(upload, asked.PartIds, sums => Compare(asked.Md5, sums.Md5), cancel);
        return OpenAiJson.Answer(OpenAiUpload.From(upload, OpenAiFile.From(dataset)));
    }

    private static void Compare(string? expected, string md5)
    {
        if (expected is not null && !expected.Equals(md5, StringComparison.OrdinalIgnoreCase))
            throw new FaultException("/md5", expected, $"The parts have another checksum, {md5}.", "Send the parts again that were broken, or give them in their order.");
    }

    private static async Task Check(Upload upload, IReadOnlyList<string> partIds, FineTuneDb db, CancellationToken cancel)
    {
        var parts = await db.UploadParts.AsNoTracking().Where(part => part.UploadId == upload.Id).ToDictionaryAsync(part => part.Id, part => part.Bytes, cancel);
        var faults = new FaultList();
        foreach (var (at, part) in partIds.Index())
            faults.Require(parts.ContainsKey(part), $"/part_ids/{at}", part, "The upload has no such part.", "Give the ids that adding its parts was answered with.");
        faults.ThrowIfAny();
        var bytes = partIds.Sum(part => parts[part]);
        faults.Require(bytes == upload.Bytes, "/part_ids", null, $"These parts have {bytes} bytes, and the upload was to have {upload.Bytes}.", "Give all parts, each once.");
        faults.ThrowIfAny();
    }
}
