namespace FineTuneService.Api.OpenApi;

/// <summary>Marks a route that reads a multipart form by itself, which nothing else could tell.</summary>
/// <param name="File">What the file must be.</param>
/// <param name="Name">What the name is for.</param>
public sealed record FileUpload(string File, string Name, string Example);
