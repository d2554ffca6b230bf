using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace FineTuneService.Client;

public partial class FineTuneClient
{
    private const int PartBytes = 8 << 20, PartTries = 5;

    /// <summary>Uploads a csv, tsv, jsonl or parquet file of any size, in parts: one that is lost on its way is sent again.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">What the dataset is called; the file's name unless given. It ends as the file's does.</param>
    /// <param name="progress">Told the bytes that have arrived so far.</param>
    /// <exception cref="FineTuneException">With the faults of the file, each with its line.</exception>
    public async Task<Dataset> UploadDatasetAsync(string path, string? name = null, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        using var file = File.OpenRead(path);
        var upload = await BeginDatasetUploadAsync(new() { Name = name ?? Path.GetFileName(path), Bytes = file.Length }, cancellationToken).ConfigureAwait(false);
        var (buffer, sent) = (new byte[PartBytes], 0L);
        for (var (number, read) = (1, 0); (read = await file.ReadAtLeastAsync(buffer, PartBytes, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false)) > 0; number++)
        {
            await PutPartAsync($"datasets/uploads/{Segment(upload.Id)}/parts/{number}", buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
            progress?.Report(sent += read);
        }
        return await CompleteDatasetUploadAsync(upload.Id, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Brings in a Hugging Face folder as tar, tar.gz or zip; takes a key with the scope <c>admin</c>.</summary>
    /// <param name="archive">The archive's file.</param>
    /// <param name="name">What the base model is called.</param>
    public async Task<BaseModel> ImportBaseModelAsync(string archive, string name, CancellationToken cancellationToken = default)
    {
        using var file = File.OpenRead(archive);
        using var form = new MultipartFormDataContent { { new StringContent(name), "name" }, { new StreamContent(file), "file", Path.GetFileName(archive) } };
        using var request = new HttpRequestMessage(HttpMethod.Post, "base-models") { Content = form };
        using var response = await SendAsync(request, cancellationToken).ConfigureAwait(false);
        return await ReadAsync<BaseModel>(response, cancellationToken).ConfigureAwait(false);
    }

    private async Task PutPartAsync(string address, ReadOnlyMemory<byte> part, CancellationToken cancellationToken)
    {
        var digest = $"sha-256=:{Convert.ToBase64String(SHA256.HashData(part.Span))}:"; // RFC 9530
        for (var tries = 1; ; tries++)
        {
            using var content = new ReadOnlyMemoryContent(part);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
            using var request = new HttpRequestMessage(HttpMethod.Put, address) { Content = content };
            request.Headers.Add("Content-Digest", digest);
            try
            {
                (await SendAsync(request, cancellationToken).ConfigureAwait(false)).Dispose();
                return;
            }
            catch (Exception error) when (tries < PartTries && error is HttpRequestException or FineTuneException { Status: >= 500 or 429 or 408 })
            {
                await Task.Delay((error as FineTuneException)?.RetryAfter ?? Pause, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}
