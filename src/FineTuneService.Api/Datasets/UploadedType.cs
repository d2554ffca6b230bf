using System.Net.Mime;
using FineTuneService.Storage;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Datasets;

/// <summary>What <see cref="Upload.MimeType"/> is for an upload of ours.</summary>
internal static class UploadedType
{
    private const string Parameter = "sha256";

    public static string Of(string? sha256) => sha256 is null ? MediaTypeNames.Application.Octet : $"{MediaTypeNames.Application.Octet}; {Parameter}={sha256.ToLowerInvariant()}";

    public static string? Sha256In(string mimeType) => MediaTypeHeaderValue.Parse(mimeType).Parameters.FirstOrDefault(parameter => parameter.Name == Parameter)?.Value.Value;
}
