using k8s.Models;
using YamlDotNet.Core;

namespace FineTuneService.Deploy.Tests;

public sealed class ManifestTests
{
    private static readonly string[] Optional = ["ingress.yaml"];

    public static TheoryData<string> Files => [.. Manifests.Files];

    public static TheoryData<string> Pods => [.. Manifests.Pods.Select(pod => pod.Name)];

    [Theory, MemberData(nameof(Files))]
    public void A_file_has_only_what_Kubernetes_knows(string file) => Assert.NotEmpty(Manifests.Read(File.ReadAllText(Path.Combine(Manifests.Folder, file))));

    [Theory]
    [InlineData("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {prots: []}}")]
    [InlineData("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {template: {spec: {containers: [{readinesProbe: {}}]}}}}")]
    [InlineData("{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: a}, spec: {maxReplicas: 1}}")]
    public void A_slip_of_the_pen_is_seen(string yaml) => Assert.ThrowsAny<YamlException>(() => Manifests.Read(yaml).ToList());

    [Fact]
    public void Kustomize_takes_every_file_but_the_optional_ones()
    {
        var kustomization = Manifests.Of<Kustomization>().Single();
        Assert.Equal(Manifests.Files.Except(Optional).Except(["kustomization.yaml"]), kustomization.Resources.Order(StringComparer.Ordinal));
        Assert.Equal(Manifests.Of<V1Namespace>().Single().Metadata.Name, kustomization.Namespace);
        Assert.Equal(Manifests.Pods.SelectMany(pod => pod.Pod.Spec.Containers).Select(container => container.Image).Distinct().Order(), kustomization.Images.Select(image => image.Name).Order());
    }

    [Theory, MemberData(nameof(Pods))]
    public void A_pod_has_no_rights_that_it_does_not_need(string name)
    {
        var pod = Pod(name);
        Assert.False(pod.AutomountServiceAccountToken);
        Assert.True(pod.SecurityContext.RunAsNonRoot);
        Assert.Equal("RuntimeDefault", pod.SecurityContext.SeccompProfile.Type);
        Assert.All(pod.Containers, container =>
        {
            Assert.False(container.SecurityContext.AllowPrivilegeEscalation);
            Assert.True(container.SecurityContext.ReadOnlyRootFilesystem);
            Assert.Equal(["ALL"], container.SecurityContext.Capabilities.Drop);
            Assert.Contains("memory", container.Resources.Limits.Keys);
            Assert.Contains("/tmp", container.VolumeMounts.Select(mount => mount.MountPath)); // .NET's sockets, Open MPI's session, temporary files.
        });
    }

    [Theory, MemberData(nameof(Pods))]
    public void What_a_pod_names_is_there(string name)
    {
        var pod = Pod(name);
        Assert.All(pod.Containers, container =>
        {
            Assert.Subset(pod.Volumes.Select(volume => volume.Name).ToHashSet(), container.VolumeMounts.Select(mount => mount.Name).ToHashSet());
            foreach (var probe in new[] { container.StartupProbe, container.LivenessProbe, container.ReadinessProbe }.OfType<V1Probe>())
                Assert.Contains(container.Ports, port => port.Name == probe.HttpGet.Port);
            foreach (var source in container.EnvFrom ?? [])
                Assert.Equal(Manifests.Settings.Metadata.Name, source.ConfigMapRef.Name);
            foreach (var source in (container.Env ?? []).Select(variable => variable.ValueFrom).OfType<V1EnvVarSource>())
                if (source.ConfigMapKeyRef is { } setting)
                    Assert.Contains(setting.Key, Manifests.Settings.Data.Keys);
                else
                    Assert.Contains(source.SecretKeyRef.Key, (string[])["password", "hf-token"]);
        });
        foreach (var claim in pod.Volumes.Select(volume => volume.PersistentVolumeClaim).OfType<V1PersistentVolumeClaimVolumeSource>())
            Assert.Equal("ReadWriteMany", Assert.Single(Manifests.Of<V1PersistentVolumeClaim>(), volume => volume.Metadata.Name == claim.ClaimName).Spec.AccessModes.Single());
    }

    [Fact]
    public void A_selector_finds_its_pods()
    {
        Assert.All(Manifests.Of<V1Deployment>(), deployment => Assert.Equal(deployment.Metadata.Name, Assert.Single(Found(deployment.Spec.Selector.MatchLabels))));
        Assert.All(Manifests.Of<V1PodDisruptionBudget>(), budget => Assert.Equal(budget.Metadata.Name, Assert.Single(Found(budget.Spec.Selector.MatchLabels))));
        Assert.All(Manifests.Of<V1Service>(), service => Assert.Equal(service.Metadata.Name, Assert.Single(Found(service.Spec.Selector))));
        Assert.All(Manifests.Of<V1NetworkPolicy>(), policy => Assert.NotEmpty(Found(policy.Spec.PodSelector.MatchLabels)));
        Assert.All(Manifests.Of<V1Ingress>().SelectMany(ingress => ingress.Spec.Rules).SelectMany(rule => rule.Http.Paths), path =>
            Assert.Contains(path.Backend.Service.Port.Name, Manifests.Of<V1Service>().Single(service => service.Metadata.Name == path.Backend.Service.Name).Spec.Ports.Select(port => port.Name)));
    }

    [Fact]
    public void Everything_is_closed_but_what_is_opened()
    {
        var closed = Manifests.Of<V1NetworkPolicy>().Where(policy => policy.Spec is { Ingress: null, Egress: null } && policy.Spec.PolicyTypes.Order().SequenceEqual(["Egress", "Ingress"]));
        Assert.Equal(Manifests.Pods.Select(pod => pod.Name).Order(), closed.SelectMany(policy => Found(policy.Spec.PodSelector.MatchLabels)).Order());
        var opened = Manifests.Of<V1NetworkPolicy>().Where(policy => policy.Spec.Ingress is not null).SelectMany(policy => Found(policy.Spec.PodSelector.MatchLabels));
        Assert.DoesNotContain("finetune-migrate", opened);
    }

    [Fact]
    public void Settings_are_known()
    {
        var readme = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "README.md"));
        var given = Manifests.Settings.Data.Keys.Concat(Manifests.Pods.SelectMany(pod => pod.Pod.Spec.Containers).SelectMany(container => container.Env ?? []).Select(variable => variable.Name)).Distinct();
        Assert.All(given.Where(name => name.Contains("__", StringComparison.Ordinal)), name => Assert.Contains($"`{name.Replace("__0", "", StringComparison.Ordinal).Replace("__", ":", StringComparison.Ordinal)}`", readme, StringComparison.Ordinal));
    }

    [Fact]
    public void A_host_has_time_to_stop_before_it_is_killed() =>
        Assert.All(Manifests.Of<V1Deployment>().Where(deployment => deployment.Metadata.Labels["app.kubernetes.io/component"] == "worker"), worker => Assert.True(worker.Spec.Template.Spec.TerminationGracePeriodSeconds > 180));

    [Fact]
    public void Images_run_as_the_user_that_the_pods_name()
    {
        Assert.Contains("USER $APP_UID", File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Dockerfile")), StringComparison.Ordinal);
        Assert.All(Manifests.Pods, pod => Assert.Equal(1654, pod.Pod.Spec.SecurityContext.RunAsUser)); // APP_UID of .NET's images.
    }

    private static V1PodSpec Pod(string name) => Manifests.Pods.Single(pod => pod.Name == name).Pod.Spec;

    private static IEnumerable<string> Found(IDictionary<string, string>? labels) =>
        from pod in Manifests.Pods where (labels ?? new Dictionary<string, string>()).All(label => pod.Pod.Metadata.Labels.Contains(label)) select pod.Name;
}
