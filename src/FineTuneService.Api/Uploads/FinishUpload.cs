using System.Security.Cryptography;
using FineTuneService.Api.Datasets;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using FineTuneService.Storage.Artifacts;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Uploads;

/// <summary>What the parts of an upload make together; checksums in hexadecimal.</summary>
public sealed record UploadSums(long Bytes, string Sha256, string Md5);

/// <summary>Makes a dataset of an upload's parts. It is published whole or not at all; after a refusal the upload is still there.</summary>
public sealed class FinishUpload(FineTuneDb db, StorageSettings storage, DatasetFiles datasets, IOptions<DatasetSettings> settings, TimeProvider clock)
{
    private const int BufferBytes = 128 * 1024;

    /// <param name="partIds">In their order; together they have the upload's bytes.</param>
    /// <param name="check">Throws where the file is another than was meant.</param>
    public async Task<Dataset> Publish(Upload upload, IEnumerable<string> partIds, Action<UploadSums> check, CancellationToken cancel)
    {
        await db.CheckRoom(upload.Bytes, settings.Value.MaxBytes, cancel);
        var (folder, fileName) = (new UploadFolder(storage, upload.Id), Path.GetFileName(upload.FileName));
        await using var draft = new DatasetDraft(storage, datasets);
        var sums = await Assemble(draft.Create(fileName), partIds.Select(folder.Open), cancel);
        if (sums.Bytes != upload.Bytes)
            throw ProblemException.Conflict("A part was sent again while the file was made of them. Complete the upload again.");
        check(sums);
        var dataset = await draft.Publish(upload.ProjectId, fileName, upload.FileName, sums.Sha256, clock.GetMicrosecondsNow(), cancel);
        try
        {
            await using var transaction = await db.Database.BeginTransactionAsync(cancel);
            db.Add(dataset, settings.Value, clock);
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
        return dataset;
    }

    private static async Task<UploadSums> Assemble(FileStream file, IEnumerable<FileStream> parts, CancellationToken cancel)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5); // Against broken transfers, not against people.
        var (buffer, bytes) = (new byte[BufferBytes], 0L);
        await using (file)
        {
            foreach (var part in parts)
                await using (part)
                    for (int read; (read = await part.ReadAsync(buffer, cancel)) > 0;)
                    {
                        sha256.AppendData(buffer, 0, read);
                        md5.AppendData(buffer, 0, read);
                        await file.WriteAsync(buffer.AsMemory(0, read), cancel);
                        bytes += read;
                    }
            file.Flush(flushToDisk: true);
        }
        return new(bytes, Convert.ToHexStringLower(sha256.GetHashAndReset()), Convert.ToHexStringLower(md5.GetHashAndReset()));
    }
}
