namespace FineTuneService.Api.OpenApi;

/// <summary>Marks a route that reads a multipart form by itself, which nothing else could tell.</summary>
/// <param name="File">What the file must be.</param>
/// <param name="Text">What the text beside it is for; null: there is none.</param>
/// <param name="FilePart">The part with the file.</param>
/// <param name="TextPart">The part with the text.</param>
public sealed record FileUpload(string File, string? Text, string? Example, string FilePart = "file", string? TextPart = "name");
