using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using FineTuneService.Api.Idempotency;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Uploads;

/// <summary>A multipart form with one file, which goes to the disk as it comes in, and perhaps a name.</summary>
/// <param name="FileName">Without folders.</param>
/// <param name="Sha256">Of the file, in hexadecimal.</param>
public sealed record UploadForm(string FileName, string? Name, string Sha256)
{
    private const int BufferBytes = 128 * 1024;
    private const int MaxNameLength = 128, MaxFileNameLength = 255;
    private const long FormOverhead = 1 << 20;

    /// <param name="create">Opens the file that is written, by the name of the one that is sent.</param>
    /// <param name="limit">Bytes of the file; more are refused with 413.</param>
    public static async Task<UploadForm> Read(HttpRequest request, Func<string, Stream> create, long limit, CancellationToken cancel)
    {
        var form = await ReadParts(request, create, limit, cancel);
        RequestFingerprint.Leave(request.HttpContext, form.ToString());
        return form;
    }

    /// <summary>What <see cref="Read"/> leaves, of a form that was read before and is not wanted again.</summary>
    public static async Task<string> Fingerprint(HttpRequest request, CancellationToken cancel) => (await ReadParts(request, _ => Stream.Null, long.MaxValue - FormOverhead, cancel)).ToString();

    private static async Task<UploadForm> ReadParts(HttpRequest request, Func<string, Stream> create, long limit, CancellationToken cancel)
    {
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = limit + FormOverhead;
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || type.MediaType != "multipart/form-data" || HeaderUtilities.RemoveQuotes(type.Boundary) is not { Length: > 0 and <= 128 } boundary)
            throw new ProblemException(StatusCodes.Status415UnsupportedMediaType, "Send multipart/form-data with the file in a part named 'file'.");

        var reader = new MultipartReader(boundary.Value!, request.Body);
        (string FileName, string Sha256)? file = null;
        string? name = null;
        try
        {
            while (await reader.ReadNextSectionAsync(cancel) is { } section)
            {
                var part = section.GetContentDispositionHeader();
                if (part is not null && part.IsFileDisposition() && file is null)
                    file = await Save(section, (part.FileNameStar.HasValue ? part.FileNameStar : part.FileName).Value!, create, limit, cancel);
                else if (part is not null && part.IsFileDisposition())
                    throw new FaultException("file", null, "There is more than one file.", "Upload each file by itself.");
                else if (part?.Name == "name")
                    name = await ReadName(section, cancel);
            }
        }
        catch (InvalidDataException error)
        {
            throw new ProblemException(StatusCodes.Status400BadRequest, $"The form is broken: {error.Message}");
        }
        catch (IOException error) when (error.Message.StartsWith("Unexpected end", StringComparison.Ordinal))
        {
            throw new ProblemException(StatusCodes.Status400BadRequest, "The form ends in the middle.");
        }
        return file is var (fileName, sha256) ? new(fileName, name, sha256) : throw new FaultException("file", null, "There is no file in the form.", "Add a part named 'file' with a file name.");
    }

    private static async Task<(string FileName, string Sha256)> Save(MultipartSection section, string givenName, Func<string, Stream> create, long limit, CancellationToken cancel)
    {
        var fileName = Path.GetFileName(givenName.Replace('\\', '/'));
        if (fileName.Length > MaxFileNameLength || fileName.Any(char.IsControl))
            throw new FaultException("file", fileName[..Math.Min(fileName.Length, MaxNameLength)], "This is no file name.", $"Give at most {MaxFileNameLength} characters, none of them a control character.");
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var file = create(fileName);
            var written = 0L;
            for (int read; (read = await section.Body.ReadAsync(buffer, cancel)) > 0;)
            {
                if ((written += read) > limit)
                    throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"The file is larger than {limit} bytes.");
                hash.AppendData(buffer, 0, read);
                await file.WriteAsync(buffer.AsMemory(0, read), cancel);
            }
            (file as FileStream)?.Flush(flushToDisk: true);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return (fileName, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    private static async Task<string?> ReadName(MultipartSection section, CancellationToken cancel)
    {
        var buffer = new byte[4 * MaxNameLength + 1];
        var length = await section.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancel);
        var name = Encoding.UTF8.GetString(buffer, 0, length).Trim();
        if (name.Length > MaxNameLength || name.Contains('\0'))
            throw new FaultException("name", name, "This is no name.", $"Give at most {MaxNameLength} characters.");
        return name.Length == 0 ? null : name;
    }
}
