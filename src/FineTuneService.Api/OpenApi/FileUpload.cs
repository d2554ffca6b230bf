namespace FineTuneService.Api.OpenApi;

/// <summary>Marks a route that reads a multipart form by itself, which nothing else could tell.</summary>
public sealed class FileUpload
{
    public static readonly FileUpload Instance = new();

    private FileUpload()
    {
    }
}
