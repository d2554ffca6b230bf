using System.Xml.Linq;

namespace FineTuneService.Architecture.Tests;

/// <summary>Who may know whom. The compiler lists only what is really used, so an assembly's reference list is the proof.</summary>
public sealed class ReferenceTests
{
    private static readonly string[] Server = ["Microsoft.AspNetCore", "Microsoft.EntityFrameworkCore", "Microsoft.Extensions.Hosting", "Hangfire", "Npgsql", "Serilog", "Swashbuckle"];
    private static readonly string[] Tensors = ["TorchSharp"];

    /// <summary>The only edges between projects; the starting of a process (ReferenceOutputAssembly="false") is none.</summary>
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["FineTuneService.Contracts"] = [],
        ["FineTuneService.Training"] = ["FineTuneService.Contracts"],
        ["FineTuneService.Client"] = [],
        ["FineTuneService.Cli"] = ["FineTuneService.Training", "FineTuneService.Client", "FineTuneService.Contracts"],
        ["FineTuneService.Storage"] = ["FineTuneService.Contracts"],
        ["FineTuneService.Hub"] = ["FineTuneService.Contracts"],
        ["FineTuneService.Worker"] = ["FineTuneService.Storage", "FineTuneService.Hub", "FineTuneService.Contracts"],
        ["FineTuneService.Api"] = ["FineTuneService.Storage", "FineTuneService.Hub", "FineTuneService.Training", "FineTuneService.Contracts"],
    };

    private static readonly Dictionary<string, string[]> Forbidden = new()
    {
        ["FineTuneService.Contracts"] = [.. Server, .. Tensors],
        ["FineTuneService.Client"] = [.. Server, .. Tensors, "Newtonsoft", "NSwag", "Microsoft.Extensions"],
        ["FineTuneService.Training"] = Server,
        ["FineTuneService.Cli"] = Server,
        ["FineTuneService.Storage"] = Tensors,
        ["FineTuneService.Hub"] = [.. Server, .. Tensors],
        ["FineTuneService.Worker"] = Tensors,
        ["FineTuneService.Api"] = Tensors,
    };

    public static TheoryData<string> Projects => [.. Repository.Projects];

    [Fact]
    public void Every_source_project_has_its_rules() =>
        Assert.Equal(
            Repository.Files.Where(path => path.StartsWith("src/", StringComparison.Ordinal) && path.EndsWith(".csproj", StringComparison.Ordinal)).Select(Path.GetFileNameWithoutExtension),
            Allowed.Keys.Order(StringComparer.Ordinal));

    [Theory, MemberData(nameof(Projects))]
    public void A_project_declares_only_allowed_edges(string project) =>
        Assert.Empty(ForbiddenEdges(project, DeclaredReferences(Repository.Read($"src/{project}/{project}.csproj"))));

    [Theory, MemberData(nameof(Projects))]
    public void An_assembly_uses_only_allowed_projects_and_packages(string project) =>
        Assert.Empty(ForbiddenEdges(project, UsedReferences(project)));

    [Theory]
    [InlineData("FineTuneService.Contracts", "FineTuneService.Training")]
    [InlineData("FineTuneService.Worker", "FineTuneService.Training")]
    [InlineData("FineTuneService.Worker", "TorchSharp")]
    [InlineData("FineTuneService.Client", "FineTuneService.Contracts")]
    [InlineData("FineTuneService.Client", "Newtonsoft.Json")]
    [InlineData("FineTuneService.Training", "Npgsql.EntityFrameworkCore.PostgreSQL")]
    [InlineData("FineTuneService.Cli", "Microsoft.AspNetCore.Http")]
    public void A_forbidden_edge_is_seen(string project, string reference) =>
        Assert.Equal([reference], ForbiddenEdges(project, ["System.Runtime", reference]));

    [Fact]
    public void A_declared_edge_is_seen_unless_it_only_starts_a_process() =>
        Assert.Equal(["FineTuneService.Api"], DeclaredReferences("""
            <Project>
              <ItemGroup>
                <ProjectReference Include="..\FineTuneService.Api\FineTuneService.Api.csproj" />
                <ProjectReference Include="..\FineTuneService.Cli\FineTuneService.Cli.csproj" ReferenceOutputAssembly="false" />
              </ItemGroup>
            </Project>
            """));

    private static IEnumerable<string> ForbiddenEdges(string project, IEnumerable<string> references) =>
        from reference in references
        where reference.StartsWith("FineTuneService.", StringComparison.Ordinal)
            ? !Allowed[project].Contains(reference)
            : Forbidden[project].Any(prefix => reference == prefix || reference.StartsWith(prefix + ".", StringComparison.Ordinal))
        select reference;

    private static IEnumerable<string> DeclaredReferences(string projectFile) =>
        from reference in XDocument.Parse(projectFile).Descendants("ProjectReference")
        where (string?)reference.Attribute("ReferenceOutputAssembly") != "false"
        select Path.GetFileNameWithoutExtension(((string)reference.Attribute("Include")!).Replace('\\', '/'));

    private static IEnumerable<string> UsedReferences(string project) =>
        Repository.Assemblies[Array.IndexOf(Repository.Projects, project)].GetReferencedAssemblies().Select(name => name.Name!);
}
