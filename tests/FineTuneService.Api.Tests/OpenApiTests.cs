namespace FineTuneService.Api.Tests;

public sealed class OpenApiTests(Api api)
{
    [Fact]
    public async Task The_document_is_the_approved_one()
    {
        var document = (await api.Http.GetStringAsync("/swagger/v1/swagger.json", Api.Cancel)).ReplaceLineEndings("\n") + "\n";
        var approved = Path.Combine(Api.Output, "approved", "openapi.json");
        if (File.Exists(approved) && await File.ReadAllTextAsync(approved, Api.Cancel) == document)
            return;
        var fresh = Path.Combine(Api.Output, "openapi.json");
        await File.WriteAllTextAsync(fresh, document, Api.Cancel);
        Assert.Fail($"The API's surface has changed. If that is meant: cp {fresh} src/FineTuneService.Api/OpenApi/openapi.json");
    }

    [Fact]
    public async Task Everything_is_described()
    {
        var document = await api.Get("/swagger/v1/swagger.json");
        var operations = (from path in document["paths"]!.AsObject() from operation in path.Value!.AsObject() select (Name: $"{operation.Key} {path.Key}", Operation: operation.Value!)).ToList();

        Assert.True(operations.Count >= 18);
        Assert.Empty(from one in operations where one.Operation["summary"] is null select one.Name);
        Assert.Empty(
            from one in operations
            from parameter in one.Operation["parameters"]?.AsArray() ?? []
            where parameter!["description"] is null
            select $"{one.Name}: {parameter!["name"]}");
        Assert.Empty(from one in operations where one.Operation["responses"]!.AsObject().All(answer => answer.Key[0] != '2') select one.Name);
        Assert.DoesNotContain("FineTuneService.", document["components"]!.ToJsonString());
    }
}
