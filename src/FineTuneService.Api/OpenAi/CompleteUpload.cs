using System.ComponentModel.DataAnnotations;
using System.Security.Cryptography;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Projects;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;

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
    private const int BufferBytes = 128 * 1024;

    /// <summary>Makes a file of an upload's parts. It is published whole or not at all; after a refusal the upload is still there.</summary>
    /// <param name="id">The upload's id.</param>
    public static async Task<JsonHttpResult<OpenAiUpload>> Handle(
        string id, HttpRequest request, FineTuneDb db, StorageSettings storage, DatasetFiles datasets, IOptions<DatasetSettings> settings, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindPendingUpload(id, clock, cancel);
        var asked = await JsonContract.ReadAsync<CompleteUploadRequest>(request.Body, Catalog.Json, cancel);
        await Check(upload, asked.PartIds, db, cancel);
        await Quotas.StorageLeft(db, settings.Value.MaxBytes, cancel);

        var folder = new UploadFolder(storage, id);
        await using var draft = new DatasetDraft(storage, datasets);
        var (sha256, md5) = await Assemble(draft.Create(upload.FileName), asked.PartIds.Select(folder.Open), cancel);
        if (asked.Md5 is { } expected && !expected.Equals(md5, StringComparison.OrdinalIgnoreCase))
            throw new FaultException("/md5", expected, $"The parts have another checksum, {md5}.", "Send the parts again that were broken, or give them in their order.");
        var dataset = await draft.Publish(upload.ProjectId, upload.FileName, upload.FileName, sha256, clock.GetMicrosecondsNow(), cancel);
        try
        {
            await using var transaction = await db.Database.BeginTransactionAsync(cancel);
            db.Datasets.Add(dataset);
            await db.SaveChangesAsync(cancel);
            await db.EndUpload(upload, UploadStatus.Completed, dataset.Id, cancel);
            await transaction.CommitAsync(cancel);
        }
        catch
        {
            await datasets.Delete(dataset, CancellationToken.None);
            throw;
        }
        folder.Delete();
        return OpenAiJson.Answer(OpenAiUpload.From(upload, OpenAiFile.From(dataset)));
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

    private static async Task<(string Sha256, string Md5)> Assemble(FileStream file, IEnumerable<FileStream> parts, CancellationToken cancel)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5); // Against broken transfers, not against people.
        var buffer = new byte[BufferBytes];
        await using (file)
        {
            foreach (var part in parts)
                await using (part)
                    for (int read; (read = await part.ReadAsync(buffer, cancel)) > 0;)
                    {
                        sha256.AppendData(buffer, 0, read);
                        md5.AppendData(buffer, 0, read);
                        await file.WriteAsync(buffer.AsMemory(0, read), cancel);
                    }
            file.Flush(flushToDisk: true);
        }
        return (Convert.ToHexStringLower(sha256.GetHashAndReset()), Convert.ToHexStringLower(md5.GetHashAndReset()));
    }
}
